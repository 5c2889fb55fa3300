# shellcheck shell=sh
# The load check: the same requests to the new release and to the one that serves, a second each in turn, so that both are measured under
# the same conditions. The release's file `load`, one line, the words of a shell:
#   app requests-a-second seconds max-error-rate max-p95-ms (0 for any) max-p95-ratio path…
# shellcheck disable=SC2154 # the settings come from lib/settings.sh

# loadtest_all SLOT: asked of that slot. Where no release of estiba serves beside it, the new one is measured alone. Nobody who goes back
# is kept waiting by it, nor refused for what a broken release answers quickly.
loadtest_all() {
	if [ "$KIND" != deploy ] || [ ! -s "$releases/$RELEASE/load" ]; then return 0; fi
	loadtest_slot=$1
	eval "set -- $(cat "$releases/$RELEASE/load")"
	loadtest_app=$1
	app_read "$RELEASE" "$loadtest_app" || fail "release $RELEASE has no app $loadtest_app" || return 1
	loadtest_old=$(get old-slot)
	case $loadtest_old in blue | green) ;; *) loadtest_old= ;; esac
	[ -z "$loadtest_old" ] || [ -n "$(containers "$loadtest_app-$loadtest_old")" ] || loadtest_old=
	note "the load check asks $loadtest_app for $2 requests a second, for $3 s of each release"
	loadtest_run "$@" >"$run_dir/state/load.answers" || fail 'the load check could not be run: it needs perl, on the server or in the image of the edge' || return 1
	loadtest_judge "$@"
}

# loadtest_run APP RATE SECONDS …: a line an answer: new or old, tenths of a millisecond or `error`, 1. The first second of each is not
# counted: what an app does once it does then. An answer is timed from when its request was due.
loadtest_run() {
	# shellcheck disable=SC2016 # a program in perl
	loadtest_program=$edge_clock'
		use IO::Socket::UNIX;
		use IO::Select;
		my ($peer, $host, $new, $old, $rate, $seconds, @paths) = @ARGV;
		my @turns = map { $old eq "" ? ($new) : ($new, $old) } 0 .. $seconds;
		my $uncounted = $old eq "" ? 1 : 2;
		my ($total, $sent, $began) = (@turns * $rate, 0, clock());
		my (%open, $select);
		$select = IO::Select->new;
		sub told { my ($one, $took) = @_; print "$one->{side} $took 1\n" if $one->{counted} }
		while ($sent < $total or %open) {
			my $now = clock();
			while ($sent < $total and $now >= $began + $sent / $rate) {
				my $turn = int($sent / $rate);
				my $one = { side => $turns[$turn] eq $new ? "new" : "old", counted => $turn >= $uncounted, due => $began + $sent / $rate, head => "" };
				my $path = $paths[$sent % @paths];
				$sent++;
				my $socket = IO::Socket::UNIX->new(Peer => $peer);
				if (!$socket) { told($one, "error"); next }
				syswrite $socket, "GET $path HTTP/1.1\r\nHost: $host\r\nX-Forwarded-Proto: https\r\nUser-Agent: estiba\r\nX-Estiba-Slot: $turns[$turn]\r\nConnection: close\r\n\r\n";
				$socket->blocking(0);
				$open{fileno $socket} = $one;
				$select->add($socket);
			}
			my $wait = $sent < $total ? $began + $sent / $rate - clock() : 1;
			# Without a handle it would not wait.
			if (!$select->count) { select undef, undef, undef, $wait if $wait > 0; next }
			for my $socket ($select->can_read($wait > 0 ? $wait : 0)) {
				my $one = $open{fileno $socket};
				my $got = sysread $socket, my $piece, 65536;
				next if !defined $got and $!{EAGAIN};
				$one->{head} .= $piece if $got and length $one->{head} < 64;
				next if $got;
				my $status = $one->{head} =~ m{^HTTP/\S+ (\d+)} ? $1 : 599;
				told($one, $status >= 500 ? "error" : int((clock() - $one->{due}) * 10000));
				delete $open{fileno $socket};
				$select->remove($socket);
				close $socket;
			}
			for my $socket ($select->handles) {
				my $one = $open{fileno $socket};
				next if clock() - $one->{due} < 30;
				told($one, "error");
				delete $open{fileno $socket};
				$select->remove($socket);
				close $socket;
			}
		}'
	loadtest_rate=$2
	loadtest_seconds=$3
	shift 6
	if command -v perl >/dev/null 2>&1; then
		(cd "$edge/$loadtest_app/run" && perl -e "$loadtest_program" test.sock "$app_host" "$loadtest_slot" "$loadtest_old" "$loadtest_rate" "$loadtest_seconds" "$@")
	else
		edge_inside_perl "$loadtest_app" "$loadtest_program" "$edge_inside/run/test.sock" "$app_host" "$loadtest_slot" "$loadtest_old" "$loadtest_rate" "$loadtest_seconds" "$@"
	fi
}

# loadtest_judge APP RATE SECONDS MAX-ERROR-RATE MAX-P95-MS MAX-P95-RATIO …
loadtest_judge() {
	# shellcheck disable=SC2046 # four numbers
	set -- "$4" "$5" "$6" $(awk '{ all[$1]++; bad[$1] += $2 == "error" } END { print all["new"] + 0, bad["new"] + 0, all["old"] + 0, bad["old"] + 0 }' "$run_dir/state/load.answers")
	loadtest_times=$(grep -v error "$run_dir/state/load.answers" | MIN_REQUESTS=20 MAX_P95_RATIO=$3 judge_times)
	loadtest_p95=${loadtest_times%% *}
	loadtest_words="$loadtest_app: $4 requests to the new release, $5 answered with an error, p95 $loadtest_p95 ms"
	[ "$6" = 0 ] || loadtest_words="$loadtest_words; $6 to the one that serves, $7 with an error, p95 $(printf '%s\n' "$loadtest_times" | cut -d ' ' -f 2) ms"
	tell "load check of $loadtest_words"
	[ "$4" -gt 0 ] || proof_failed "$loadtest_app" 'the load check has no answers' || return 1
	awk -v errors="$5" -v requests="$4" -v most="$1" 'BEGIN { exit !(errors > requests * most) }' &&
		{ proof_failed "$loadtest_app" "the load check found too many errors ($loadtest_words); at most $1 of the requests may fail" || return 1; }
	[ "$2" = 0 ] || [ "$loadtest_p95" = - ] || ! awk -v p95="$loadtest_p95" -v most="$2" 'BEGIN { exit !(p95 > most + 0) }' ||
		proof_failed "$loadtest_app" "the load check found the new release too slow ($loadtest_words); its p95 may be $2 ms" || return 1
	case $loadtest_times in
	*bad) proof_failed "$loadtest_app" "the load check found the new release slower than the one that serves ($loadtest_words); its p95 may be $3 times as long" || return 1 ;;
	esac
}
