# shellcheck shell=sh
# One HTTP request from the server itself, with whatever it has: curl, perl (part of every Debian and
# Ubuntu) or nc (part of BusyBox).

# http_status URL HOST SECONDS: prints the status, or a word for what happened: refused, timeout, failed.
http_status() {
	if command -v curl >/dev/null 2>&1; then
		http_code=$(curl -s -o /dev/null -w '%{http_code}' --max-time "$3" -H "Host: $2" -H 'X-Forwarded-Proto: https' \
			-H 'User-Agent: estiba' --noproxy '*' "$1" 2>/dev/null)
		case $? in
		0) echo "$http_code" ;;
		7) echo refused ;;
		28) echo timeout ;;
		*) echo failed ;;
		esac
	else
		http_fetch "$1" "$2" "$3" | sed -n '1s/^[^ ]* *\([^ ]*\).*/\1/p'
	fi
}

# http_body URL HOST SECONDS: prints the body.
http_body() {
	if command -v curl >/dev/null 2>&1; then
		curl -s --max-time "$3" -H "Host: $2" --noproxy '*' "$1" 2>/dev/null
	else
		http_fetch "$1" "$2" "$3" | sed '1,/^\r*$/d'
	fi
}

# http_fetch URL HOST SECONDS: the whole answer, status line first; `- WORD` where there is none.
http_fetch() {
	http_rest=${1#http://}
	http_authority=${http_rest%%/*}
	if command -v perl >/dev/null 2>&1; then
		perl -e '
			use IO::Socket::INET;
			my ($peer, $path, $host, $seconds) = @ARGV;
			$SIG{ALRM} = sub { print "- timeout\n"; exit };
			alarm $seconds;
			my $socket = IO::Socket::INET->new(PeerAddr => $peer, Timeout => $seconds)
				or do { print $!{ECONNREFUSED} ? "- refused\n" : "- failed\n"; exit };
			print $socket "GET $path HTTP/1.0\r\nHost: $host\r\nX-Forwarded-Proto: https\r\nUser-Agent: estiba\r\n\r\n";
			my $any = 0;
			while (<$socket>) { $any = 1; print }
			print "- failed\n" unless $any;
		' "$http_authority" "/${http_rest#*/}" "$2" "$3"
	else
		http_answer=$(printf 'GET /%s HTTP/1.0\r\nHost: %s\r\nX-Forwarded-Proto: https\r\nUser-Agent: estiba\r\n\r\n' \
			"${http_rest#*/}" "$2" | timeout "$3" nc -w "$3" "${http_authority%%:*}" "${http_authority##*:}" 2>&1)
		case $?/$http_answer in
		124/* | 143/*) echo '- timeout' ;;
		*/HTTP/*) printf '%s\n' "$http_answer" ;;
		*refused*) echo '- refused' ;;
		*) echo '- failed' ;;
		esac
	fi
}
