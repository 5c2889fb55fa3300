# shellcheck shell=sh
# Requests that the team wants answered before anybody else gets the new release: the release's file `smoke`, a line each, the words of
# a shell:
#   app method path status most-ms (0 for any) contains (may be empty) body (may be empty) header…
# A word that begins with a tab is no header but what the answer has to hold: a tab, a JSON pointer, a tab, a value as JSON.
# Headers and body may hold secrets, so they stand in no argument list.
# shellcheck disable=SC2154 # the settings come from lib/settings.sh

# smoke_all SLOT: all of them, asked of that slot.
smoke_all() {
	[ -s "$releases/$RELEASE/smoke" ] || return 0
	smoke_slot=$1
	smoke_count=0
	while IFS= read -r smoke_line; do
		eval "set -- $smoke_line"
		smoke_one "$@" </dev/null || return 1
		smoke_count=$((smoke_count + 1))
	done <"$releases/$RELEASE/smoke"
	rm -f "$run_dir/state/smoke.headers" "$run_dir/state/smoke.body"
	note "$smoke_count smoke requests were answered as they should be"
}

# smoke_one APP METHOD PATH STATUS MOST TEXT BODY WORD…: one that reads only is asked again where it took too long the first time.
smoke_one() {
	smoke_app=$1
	smoke_method=$2
	smoke_path=$3
	smoke_status=$4
	smoke_most=$5
	smoke_text=$6
	app_read "$RELEASE" "$smoke_app" || fail "release $RELEASE has no app $smoke_app" || return 1
	shift 6
	smoke_write "$@" || return 1
	shift
	smoke_tries=1
	case $smoke_method in GET | HEAD) smoke_tries=3 ;; esac
	while :; do
		smoke_said=$(smoke_ask)
		smoke_took=${smoke_said#* }
		smoke_said=${smoke_said%% *}
		[ "$smoke_said" = "$smoke_status" ] ||
			smoke_failed "answers ${smoke_said:-nothing}, not $smoke_status" || return 1
		[ -z "$smoke_text" ] || grep -qaF -e "$smoke_text" "$run_dir/state/smoke.answer" ||
			smoke_failed "answers $smoke_said without \`$smoke_text\` in its body" || return 1
		smoke_holds "$@" || return 1
		is_number "$smoke_took" || smoke_took=0
		if [ "$smoke_most" = 0 ] || [ "$smoke_took" -le "$smoke_most" ]; then break; fi
		smoke_tries=$((smoke_tries - 1))
		[ "$smoke_tries" -gt 0 ] || smoke_failed "took $smoke_took ms, and max-ms is $smoke_most" || return 1
	done
}

# smoke_again APP SLOT…: those of that app that only read, asked of each slot; how they are answered, the edge counts.
smoke_again() {
	smoke_only=$1
	shift
	while IFS= read -r smoke_line; do
		for smoke_slot; do
			(eval "set -- $smoke_line" && smoke_quietly "$@") </dev/null || fail "the smoke requests of $smoke_only could not be asked" || return 1
		done
	done <"$releases/$RELEASE/smoke"
	rm -f "$run_dir/state/smoke.headers" "$run_dir/state/smoke.body"
}

smoke_quietly() {
	smoke_app=$1
	smoke_method=$2
	smoke_path=$3
	case $smoke_app/$smoke_method in "$smoke_only/GET" | "$smoke_only/HEAD") ;; *) return 0 ;; esac
	app_read "$RELEASE" "$smoke_app" || return 1
	shift 6
	smoke_write "$@" && smoke_ask >/dev/null
}

# smoke_holds WORD…: does the answer hold what it should, as JSON?
smoke_holds() {
	for smoke_word; do
		case $smoke_word in '	'*) ;; *) continue ;; esac
		smoke_word=${smoke_word#?}
		smoke_there=$(json_holds "$run_dir/state/smoke.answer" "${smoke_word%%	*}" "${smoke_word#*	}") ||
			smoke_failed "answers $smoke_said, and at ${smoke_word%%	*} of its body is $smoke_there, not ${smoke_word#*	}" || return 1
	done
}

# smoke_failed WHY
smoke_failed() {
	rm -f "$run_dir/state/smoke.headers" "$run_dir/state/smoke.body"
	proof_failed "$smoke_app" "the smoke request $smoke_method $smoke_path $1 (asked of $smoke_app with Host: $app_host)"
}

# proof_failed APP WHY: the new release does not stand a check of the team's. Nobody has got it yet; where it has migrated, more is
# undone than by a refusal.
proof_failed() {
	proof_id=$(containers "$1-$(get slot)" | head -n 1)
	[ -z "$proof_id" ] || last_lines "$proof_id"
	if has migrating; then fail "$2"; else refuse 1 "$2"; fi
}

# smoke_write BODY WORD…: the request, as files that only this user may read.
smoke_write() (
	umask 077
	printf '%s' "$1" >"$run_dir/state/smoke.body" || exit 1
	shift
	{
		printf '%s\n' "Host: $app_host" 'User-Agent: estiba' 'X-Forwarded-Proto: https' 'Connection: close' "X-Estiba-Slot: $smoke_slot"
		for smoke_word; do
			case $smoke_word in '	'*) ;; *) printf '%s\n' "$smoke_word" ;; esac
		done
	} >"$run_dir/state/smoke.headers"
)

# smoke_ask: the status and how many milliseconds the answer took; its body is the state smoke.answer, of a megabyte at most.
smoke_ask() {
	rm -f "$run_dir/state/smoke.answer"
	if command -v curl >/dev/null 2>&1; then
		smoke_code=$(cd "$edge/$smoke_app/run" && smoke_curl | curl -s -K - -w '%{http_code} %{time_total}' 2>/dev/null)
		printf '%s\n' "$smoke_code" | awk '{ printf "%s %d\n", $1, $2 * 1000 }'
		return
	fi
	# shellcheck disable=SC2016 # a program in perl
	smoke_program=$edge_clock'
		use IO::Socket::UNIX;
		my ($peer, $seconds) = @ARGV;
		local $/;
		my $request = <STDIN>;
		$SIG{ALRM} = sub { print "timeout 0\n"; exit };
		alarm $seconds;
		my $began = clock();
		my $socket = IO::Socket::UNIX->new(Peer => $peer) or do { print "refused 0\n"; exit };
		print $socket $request;
		my $answer = "";
		while (length($answer) < 1 << 20 and sysread($socket, my $piece, 65536)) { $answer .= $piece }
		my $took = int((clock() - $began) * 1000);
		print $answer =~ m{^HTTP/\S+ (\d+)} ? "$1 $took\n" : "failed 0\n";
		print $answer =~ s/^.*?\r\n\r\n//sr;'
	if command -v perl >/dev/null 2>&1; then
		(cd "$edge/$smoke_app/run" && smoke_text_of | perl -e "$smoke_program" test.sock 30)
	else
		smoke_text_of | docker exec -i "$(edge_container "$smoke_app")" perl -e "$smoke_program" "$edge_inside/run/test.sock" 30 9>&- 2>/dev/null
	fi >"$run_dir/state/smoke.whole"
	sed 1d "$run_dir/state/smoke.whole" >"$run_dir/state/smoke.answer"
	sed -n 1p "$run_dir/state/smoke.whole"
}

# smoke_curl: what curl is told, on its standard input.
smoke_curl() {
	printf '%s\n' 'unix-socket = "test.sock"' 'max-time = 30' 'max-filesize = 1048576' 'noproxy = "*"' \
		"output = \"$run_dir/state/smoke.answer\"" "url = \"http://localhost$smoke_path\""
	case $smoke_method in HEAD) echo head ;; *) echo "request = \"$smoke_method\"" ;; esac
	sed 's/[\\"]/\\&/g; s/^/header = "/; s/$/"/' "$run_dir/state/smoke.headers"
	[ ! -s "$run_dir/state/smoke.body" ] || echo "data-binary = \"@$run_dir/state/smoke.body\""
}

# smoke_text_of: the request as it goes out. Of version 1.0, so that the answer comes in one piece.
smoke_text_of() {
	printf '%s %s HTTP/1.0\r\n' "$smoke_method" "$smoke_path"
	awk '{ printf "%s\r\n", $0 }' "$run_dir/state/smoke.headers"
	[ ! -s "$run_dir/state/smoke.body" ] || printf 'Content-Length: %s\r\n' "$(wc -c <"$run_dir/state/smoke.body" | tr -d ' ')"
	printf '\r\n'
	cat "$run_dir/state/smoke.body"
}
