# shellcheck shell=sh
# check: the new release's apps answer their health paths, asked through their edges, container by container; and the team's smoke
# requests and load check, before anybody else gets it.
# Deadline: HEALTH_TIMEOUT * apps + LOAD_SECONDS + 300 seconds.
# A failure: undone, a migration too where it must be; the release before serves all the while.

check_do() {
	check_slot=$(get slot)
	for check_app in $APPS; do
		check_one "$check_app" || return 1
	done
	smoke_all "$check_slot" && loadtest_all "$check_slot"
}

check_one() {
	app_read "$RELEASE" "$1" || return 1
	check_service=$1-$check_slot
	[ -n "$(containers "$check_service" all)" ] || fail "there is no container of $check_service" || return 1
	deadline_in "$app_timeout"
	check_interval=$app_interval
	check_since=
	until app_answers "$RELEASE" "$1" "$check_slot"; do
		for check_id in $(containers "$check_service" all); do
			check_alive "$check_id" || return 1
		done
		past_deadline && check_failed && return 1
		check_settled && check_failed && return 1
		# Until it answers at all, a look costs the app nothing.
		case $answers_said in
		nothing | unknown | refused) nap 0.2 ;;
		*) nap "$check_interval" ;;
		esac
	done
	note "$check_service answers $app_path with $answers_said"
	check_page "$1"
}

# check_page APP: an app whose health path is good may still answer the page at `/` with an error of its own. What the old release
# answers too is no fault of this one.
check_page() {
	case "$app_path ${app_first#*:}" in '- '* | '/ '* | *' tcp') return 0 ;; esac
	# It may need longer than the health path.
	deadline_in 5
	while :; do
		check_said=$(edge_status "$1" / "$app_host" "$HEALTH_REQUEST_TIMEOUT" "$check_slot")
		case $check_said in 5[0-9][0-9]) ;; *) return 0 ;; esac
		! site_accepts "$check_said" || return 0
		! past_deadline || break
		nap "$app_interval"
	done
	case $(get old-slot) in
	blue | green)
		if [ "$(edge_status "$1" / "$app_host" "$HEALTH_REQUEST_TIMEOUT" "$(get old-slot)")" = "$check_said" ]; then
			tell "/ of $1 answers $check_said, as that of the old release does"
			return 0
		fi
		;;
	esac
	check_id=$(containers "$check_service" | head -n 1)
	[ -z "$check_id" ] || last_lines "$check_id"
	fail "$app_path of $1 is healthy, but / answers $check_said (asked with Host: $app_host); where that is meant, set [health] accept = [$check_said]"
}

# check_settled: has the app given the same answer for ten seconds, one that waiting does not mend?
check_settled() {
	case $answers_said in
	301 | 302 | 307 | 308 | 400 | 401 | 403 | 404 | 405) ;;
	*)
		check_since=
		return 1
		;;
	esac
	uptime_cs
	if [ "${check_since%% *}" != "$answers_said" ]; then check_since="$answers_said $uptime_cs"; fi
	check_for=$(((uptime_cs - ${check_since##* }) / 100))
	[ "$check_for" -ge 10 ]
}

# check_means: what such an answer to the health path means, and what mends it.
check_means() {
	case $answers_said in
	30?) printf '%s' "it redirects, as apps do to HTTPS or to a path with a final slash: check the path, and that the app trusts X-Forwarded-Proto" ;;
	400) printf '%s' "the app rejects the request, as Django does for a host missing from ALLOWED_HOSTS: set the target's url or [health] host" ;;
	401 | 403) printf '%s' "the path needs a login: use one that does not, or set [health] expect-status = $answers_said" ;;
	404) printf '%s' "the app has no such path: set [health] path to one it has" ;;
	405) printf '%s' "the path does not accept GET: set [health] path to one that does" ;;
	esac
}

# A container that stopped or was started again will not get better by waiting.
check_alive() {
	set -- "$1" "$(incarnation "$1")"
	case $2 in
	'running 0 '*) return 0 ;;
	'created '*) return 0 ;;
	esac
	last_lines "$1"
	fail "the app's container stopped by itself (exit status ${2##* })"
}

check_failed() {
	last_lines "${answers_id:-$check_id}"
	check_id=${answers_id:-$check_id}
	case $answers_said in
	refused | failed | nothing | unknown) fail "nothing answers on port $app_port of $app_name within $app_timeout s (connection $answers_said)$(check_listens)" ;;
	'the edge') fail "the edge of $app_name does not answer" ;;
	30? | 400 | 401 | 403 | 404 | 405)
		fail "$app_path of $app_name answers $answers_said, not $app_status (asked with Host: $app_host): $(check_means)"
		;;
	timeout) fail "$app_path on port $app_port of $app_name gave no answer within $app_timeout s" ;;
	*) fail "$app_path of $app_name answers $answers_said, not $app_status, for $app_timeout s (asked with Host: $app_host; the target's url or [health] host sets it)" ;;
	esac
	return 0
}

# The ports that something in the container listens on, from the kernel's own table.
check_listens() {
	check_ports=
	for check_hex in $(docker exec "$check_id" cat /proc/net/tcp /proc/net/tcp6 9>&- 2>/dev/null |
		awk '$4 == "0A" { split($2, a, ":"); if (a[1] !~ /^0B00007F/ && a[2] ~ /^[0-9A-F][0-9A-F][0-9A-F][0-9A-F]$/) print a[2] }' | sort -u); do
		check_ports="$check_ports $((0x$check_hex))"
	done
	case "$check_ports " in
	' ') ;;
	*" $app_port "*) printf '; the container listens on it now: [health] timeout = "…" gives it longer' ;;
	*) printf '; the container listens on%s: set [app] port' "$check_ports" ;;
	esac
}

check_undo() {
	return 0
}
