#!/usr/bin/env bats
# What alerts say, in which form, and that nothing of them can hold a run up.

setup() {
	here=$BATS_TEST_DIRNAME/../../remote-scripts
	root=$BATS_TEST_TMPDIR
	mkdir -p "$root/state" "$root/runs/r1" "$root/releases/r1/alerts"
	cat >"$root/try" <<-TRY
		root=$root here=$here
		. "\$here/lib/common.sh"
		. "\$here/lib/alerts.sh"
		PROJECT=shop TARGET=production RELEASE=r1 RUN=r1 KIND=deploy BY=me FROM=here COMMIT=abc run_dir=\$runs/r1
	TRY
	printf 'failed rolled-back recovered\n' >"$root/releases/r1/alerts/on"
	printf 'silent\nshow-error\nurl = "http://127.0.0.1:9/"\n' >"$root/releases/r1/alerts/slack.curl"
}

in_shell() {
	run ${ESTIBA_TEST_SHELL:-sh} -c ". $root/try
$1"
}

# body TEXT: the one channel's body.
body() {
	printf '%s\n' "$1" >"$root/releases/r1/alerts/slack.body"
}

@test "an alert is valid JSON whatever it tells" {
	body '{"title": @@title-json@@, "text": @@text-json@@, "slack": @@text-slack@@, "left": "@@unknown@@"}'
	printf '1\tout\tcheck\t%s\n' 'a "b" \c <d> & @@title@@' >"$root/runs/r1/journal"
	in_shell 'alert_of_run 3 rolled-back check "$(printf "it said \033[31m\"no\"\\\\ \t\377\n& <more>")" && alert_fill "$alerts/r1" slack >"$root/sent"'
	[ "$status" = 0 ]
	python3 - "$root/sent" <<-'PY'
		import json, sys
		body = json.loads(open(sys.argv[1], "rb").read().decode("utf-8"))
		assert body["title"] == "shop production: the deploy of r1 failed at check and was undone", body
		assert '> a "b" \\c <d> & @@title@@' in body["text"], body
		assert "&gt; a \"b\" \\c &lt;d&gt; &amp; @@title@@" in body["slack"], body
		assert '"no"\\ \t' in body["text"] and "& <more>" in body["text"] and "\x1b" not in body["text"], body
		assert body["left"] == "@@unknown@@"
	PY
}

@test "what nobody asked to hear of makes no alert" {
	body '@@text@@'
	in_shell 'alert_of_run 0 deployed "" ""; alert_of_run 1 refused preflight no; alert_of_run 5 refused lock held; KIND=backup; alert_of_run 0 done "" ""; ALERTS=0 alert_of_run 4 failed check x'
	[ "$status" = 0 ]
	[ ! -e "$root/state/alerts" ]
}

@test "each end has its words" {
	body '@@title@@'
	for case in '3 rolled-back check:failed at check and was undone' '4 failed switch:failed at switch and needs a person' '1 failed image:the deploy failed at image'; do
		in_shell "alert_of_run ${case%%:*} why && cat \"\$alerts/r1/title\""
		[ "$status" = 0 ]
		[[ $output == *"${case#*:}"* ]]
	done
	echo '{"run":"r0","kind":"deploy","outcome":"rolled-back","exit":3}' >"$root/history.jsonl"
	in_shell 'alert_of_run 0 deployed "" "" && cat "$alerts/r1/title"'
	[[ $output == *'the deploy before it had failed'* ]]
}

@test "an alert that cannot be written down is no failure of the run" {
	body '@@text@@'
	printf 'no folder\n' >"$root/state/alerts"
	in_shell 'alert_of_run 4 failed check x; alerts_start; echo on'
	[ "${lines[${#lines[@]} - 1]}" = on ]
}

@test "what is lost is said, and forgotten when that channel works again" {
	body '@@text@@'
	in_shell 'alert_of_run 4 failed check x'
	printf '4\n' >"$root/state/alerts/r1/tries"
	run ${ESTIBA_TEST_SHELL:-sh} "$here/run/alerts.sh" "$root" send
	[ "$status" = 0 ]
	grep -q ' by slack: shop production: the deploy of r1 failed at check and needs a person (curl: (7)' "$root/state/alerts-lost"
	[ ! -e "$root/state/alerts/r1" ]
	grep -q '^lost slack ' "$root/runs/r1/alerts"
	printf 'url = "file:///dev/null"\n' >"$root/releases/r1/alerts/slack.curl"
	in_shell 'alert_of_run 4 failed check x'
	run ${ESTIBA_TEST_SHELL:-sh} "$here/run/alerts.sh" "$root" send
	[ ! -e "$root/state/alerts-lost" ]
	grep -q '^sent slack ' "$root/runs/r1/alerts"
}

@test "the client is told what became of an alert, and gets what a server without curl cannot send" {
	body '@@text@@'
	in_shell 'alert_of_run 4 failed check x'
	mkdir "$root/programs"
	ln -s /usr/bin/* /bin/* "$root/programs/" 2>/dev/null || true
	rm "$root/programs/curl"
	PATH=$root/programs
	${ESTIBA_TEST_SHELL:-sh} "$here/run/alerts.sh" "$root" send &
	sender=$!
	run ${ESTIBA_TEST_SHELL:-sh} "$here/run/alerts.sh" "$root" told r1
	kill "$sender" 2>/dev/null || true
	[ "${lines[0]}" = estiba:alerts ]
	[[ ${lines[1]} == 'unreachable slack the server has no curl' ]]
	[ "${lines[2]}" = 'left slack' ]
	[ "${lines[3]}" = estiba:end ]
	run ${ESTIBA_TEST_SHELL:-sh} "$here/run/alerts.sh" "$root" told ../r1
	[ "$status" = 2 ]
}
