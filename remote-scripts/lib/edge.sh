# shellcheck shell=sh
# The edges: one small HAProxy in front of each app, in a container that has the app's own service name. What they are ordered
# stands in the maps of <root>/edge/APP/state; it is written there first, and then told to the edge on its socket, so that one
# that starts again serves what was last ordered.
#
#   slot.map      slot blue|green|legacy|none      who serves
#   fence.map     fence off|read-only|maintenance|park
#   release.map   blue|green RELEASE|none           what answers tell of the release that made them
#   canary.map    slot blue|green|none              who gets a share beside who serves
#                 by cookie|address                 what keeps a visitor's lot
#   share.map     share 0-10000                     how large that share is, in hundredths of a percent
#   trusted.lst   networks whose X-Forwarded headers are believed
# shellcheck disable=SC2154 # the settings come from lib/settings.sh

edge=$root/edge
# The folder of an edge as its container sees it.
edge_inside=/estiba

# For programs in perl: seconds since some moment, with all their digits. The perl that Debian has everywhere has no Time::HiRes, but the
# system's own call.
# shellcheck disable=SC2016 # a program in perl
edge_clock='
	use POSIX ();
	my $clock_number = { x86_64 => 228, aarch64 => 113 }->{(POSIX::uname())[4]};
	sub clock {
		if (eval { require Time::HiRes; 1 }) { return Time::HiRes::time() }
		my $at = pack "qq", 0, 0;
		return time unless $clock_number and syscall($clock_number, 1, $at) == 0;
		my ($seconds, $nanoseconds) = unpack "qq", $at;
		return $seconds + $nanoseconds / 1e9;
	}'

# edge_container APP [all]: the edge's container.
edge_container() {
	docker ps ${2:+-a} -q --no-trunc --filter "label=com.docker.compose.project=$COMPOSE_PROJECT" --filter "label=estiba.edge=$1" \
		--filter 'label=com.docker.compose.oneoff=False' 9>&- && return 0
	: >"$run_dir/state/engine-lost"
	return 1
}

# edge_ask APP COMMAND: that command on the edge's socket; its answer. By what the server has, else by what the image has.
edge_ask() (
	cd "$edge/$1/run" 2>/dev/null || exit 1
	if command -v perl >/dev/null 2>&1; then
		perl -e '
			use IO::Socket::UNIX;
			alarm 10;
			my $socket = IO::Socket::UNIX->new(Peer => "admin.sock") or exit 1;
			print $socket "$ARGV[0]\n";
			print while <$socket>;' "$2" 2>/dev/null
	elif command -v python3 >/dev/null 2>&1; then
		python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(10)
s.connect("admin.sock")
s.sendall((sys.argv[1] + "\n").encode())
while True:
    piece = s.recv(65536)
    if not piece:
        break
    sys.stdout.write(piece.decode("utf-8", "replace"))' "$2" 2>/dev/null
	elif command -v socat >/dev/null 2>&1; then
		printf '%s\n' "$2" | socat -t 10 - UNIX-CONNECT:admin.sock 2>/dev/null
	else
		# shellcheck disable=SC2016 # a program in perl
		edge_inside_perl "$1" '
			use IO::Socket::UNIX;
			alarm 10;
			my $socket = IO::Socket::UNIX->new(Peer => "/estiba/run/admin.sock") or exit 1;
			print $socket "$ARGV[0]\n";
			print while <$socket>;' "$2"
	fi
)

# edge_inside_perl APP PROGRAM ARG…: the Debian-based image of HAProxy has perl.
edge_inside_perl() {
	inside_id=$(edge_container "$1")
	[ -n "$inside_id" ] || return 1
	shift
	docker exec "$inside_id" perl -e "$@" 9>&- 2>/dev/null
}

# edge_status APP PATH HOST SECONDS [SLOT [SERVER]]: the status of that path, asked through the edge: of the slot that serves, of
# another one, or of one container of it. Else a word for what happened.
edge_status() {
	status_slot=${5:-}
	status_server=${6:-}
	if command -v curl >/dev/null 2>&1; then
		status_code=$(cd "$edge/$1/run" && curl -s -o /dev/null -w '%{http_code}' --max-time "$4" --unix-socket test.sock -H "Host: $3" \
			-H 'X-Forwarded-Proto: https' -H 'User-Agent: estiba' ${status_slot:+-H "X-Estiba-Slot: $status_slot"} \
			${status_server:+-H "X-Estiba-Server: $status_server"} --noproxy '*' "http://localhost$2" 2>/dev/null)
		case $? in
		0) echo "$status_code" ;;
		7) echo refused ;;
		28) echo timeout ;;
		*) echo failed ;;
		esac
		return
	fi
	# shellcheck disable=SC2016 # a program in perl
	status_program='
		use IO::Socket::UNIX;
		my ($peer, $path, $host, $seconds, $slot, $server) = @ARGV;
		$SIG{ALRM} = sub { print "timeout\n"; exit };
		alarm $seconds;
		my $socket = IO::Socket::UNIX->new(Peer => $peer) or do { print "refused\n"; exit };
		my $more = ($slot ne "" ? "X-Estiba-Slot: $slot\r\n" : "") . ($server ne "" ? "X-Estiba-Server: $server\r\n" : "");
		print $socket "GET $path HTTP/1.1\r\nHost: $host\r\nX-Forwarded-Proto: https\r\nUser-Agent: estiba\r\n${more}Connection: close\r\n\r\n";
		my $line = <$socket>;
		print defined $line && $line =~ m{^HTTP/\S+ (\d+)} ? "$1\n" : "failed\n";'
	if command -v perl >/dev/null 2>&1; then
		(cd "$edge/$1/run" && perl -e "$status_program" test.sock "$2" "$3" "$4" "$status_slot" "$status_server")
	else
		edge_inside_perl "$1" "$status_program" "$edge_inside/run/test.sock" "$2" "$3" "$4" "$status_slot" "$status_server" || echo failed
	fi
}

# edge_servers APP SLOT PORT: a line for each container of the slot that the edge knows by its address: number, state (2 is up),
# address. An address that has just been found counts as up to HAProxy until its first check has ended, which may have begun
# before the container could be reached: it is up here once a check has passed (3, or 4 for one that drains).
edge_servers() {
	servers_said=$(edge_ask "$1" "show servers state $2_$3") || return 1
	printf '%s\n' "$servers_said" | awk '
		$1 ~ /^[0-9]+$/ && NF > 12 && $4 ~ /^s/ && $5 != "-" && $5 != "0.0.0.0" && $5 != "::" && int($7 / 32) % 2 == 0 {
			sub(/^s/, "", $4)
			print $4, ($6 == 2 && $12 >= 3 ? 2 : 0), $5
		}'
}

# edge_count APP SLOT PORT: requests, errors among them (5xx) and what is in flight, of that slot.
edge_count() {
	count_said=$(edge_ask "$1" "show stat $2_$3 2 -1") || return 1
	printf '%s\n' "$count_said" | awk -F ',' '
		/^# / { for (at = 1; at <= NF; at++) column[$at] = at; next }
		$2 == "BACKEND" {
			requests = $column["hrsp_1xx"] + $column["hrsp_2xx"] + $column["hrsp_3xx"] + $column["hrsp_4xx"] + $column["hrsp_5xx"]
			print requests, $column["hrsp_5xx"] + 0, $column["scur"] + 0
			found = 1
		}
		END { exit !found }'
}

# edge_users APP: requests that came in by the edge's ports, and errors (5xx) that were answered: what users got, without the
# looks of these scripts.
edge_users() {
	users_said=$(edge_ask "$1" 'show stat -1 1 -1') || return 1
	printf '%s\n' "$users_said" | awk -F ',' '
		/^# / { for (at = 1; at <= NF; at++) column[$at] = at; next }
		$1 ~ /^port_/ && $2 == "FRONTEND" {
			requests += $column["hrsp_1xx"] + $column["hrsp_2xx"] + $column["hrsp_3xx"] + $column["hrsp_4xx"] + $column["hrsp_5xx"]
			errors += $column["hrsp_5xx"]
			found = 1
		}
		END { print requests + 0, errors + 0; exit !found }'
}

# edge_slot_count APP SLOT: requests of that slot on all of the app's HTTP ports, and errors (5xx) among them; the looks of these scripts
# too.
edge_slot_count() {
	app_read "$RELEASE" "$1" || return 1
	slot_requests=0
	slot_errors=0
	for slot_port in $(app_http_ports); do
		slot_one=$(edge_count "$1" "$2" "$slot_port") || return 1
		# shellcheck disable=SC2086 # numbers
		set -- "$1" "$2" $slot_one
		slot_requests=$((slot_requests + $3))
		slot_errors=$((slot_errors + $4))
	done
	printf '%s %s\n' "$slot_requests" "$slot_errors"
}

# edge_times APP: how long answers took since the table was last cleared, a line each: old or new, tenths of a millisecond, how many.
edge_times() {
	times_said=$(edge_ask "$1" 'show table times') || return 1
	printf '%s\n' "$times_said" | awk '
		{
			key = count = ""
			for (at = 1; at <= NF; at++) {
				if ($at ~ /^key=[0-9]+$/) key = substr($at, 5) + 0
				if ($at ~ /^gpc0=[0-9]+$/) count = substr($at, 6) + 0
			}
			if (key == "" || count == "") next
			if (key >= 1000000000) print "new", key - 1000000000, count; else print "old", key, count
		}'
}

# edge_slot_times APP SLOT: how long the answers of that slot took since its release was started, a line each: tenths of a millisecond,
# how many, and how many errors (5xx) among them.
edge_slot_times() {
	slot_times_said=$(edge_ask "$1" "show table times_$2") || return 1
	printf '%s\n' "$slot_times_said" | awk '
		{
			key = count = errors = ""
			for (at = 1; at <= NF; at++) {
				if ($at ~ /^key=[0-9]+$/) key = substr($at, 5) + 0
				if ($at ~ /^gpc0=[0-9]+$/) count = substr($at, 6) + 0
				if ($at ~ /^gpc1=[0-9]+$/) errors = substr($at, 6) + 0
			}
			if (key != "" && count != "") print key, count, errors + 0
		}'
}

# edge_forget_times APP SLOT: what is counted of that slot begins anew.
edge_forget_times() {
	edge_ask "$1" "clear table times_$2" >/dev/null
}

# edge_folder APP RELEASE: the edge's folder, with its configuration and first orders; nobody else may look into it.
edge_folder() {
	folder_at=$edge/$1
	(umask 077 && mkdir -p "$folder_at/run" "$folder_at/state") && chmod 0700 "$folder_at" || return 1
	for folder_file in haproxy.cfg edge.lua maintenance.html; do
		if [ -e "$releases/$2/edge/$1/$folder_file" ]; then
			cmp -s "$releases/$2/edge/$1/$folder_file" "$folder_at/$folder_file" ||
				write_file "$folder_at/$folder_file" <"$releases/$2/edge/$1/$folder_file" || return 1
		else
			rm -f "$folder_at/$folder_file"
		fi
	done
	[ -e "$folder_at/state/slot.map" ] || echo 'slot none' | write_file "$folder_at/state/slot.map" || return 1
	[ -e "$folder_at/state/fence.map" ] || echo "fence $(fence_rest)" | write_file "$folder_at/state/fence.map" || return 1
	[ -e "$folder_at/state/release.map" ] || printf 'blue none\ngreen none\nlegacy none\n' | write_file "$folder_at/state/release.map" || return 1
	[ -e "$folder_at/state/canary.map" ] || printf 'slot none\nby cookie\n' | write_file "$folder_at/state/canary.map" || return 1
	[ -e "$folder_at/state/share.map" ] || echo 'share 0' | write_file "$folder_at/state/share.map" || return 1
	[ -e "$folder_at/state/trusted.lst" ] || printf '127.0.0.0/8\n::1\n' | write_file "$folder_at/state/trusted.lst"
}

# edge_trusts APP RELEASE: those in front are the stack's own networks and whom deploy.toml names.
edge_trusts() {
	trusts_id=$(edge_container "$1")
	{
		printf '127.0.0.0/8\n::1\n'
		docker inspect -f '{{range $name, $network := .NetworkSettings.Networks}}{{println $name}}{{end}}' "$trusts_id" 9>&- |
			while IFS= read -r trusts_network; do
				[ -z "$trusts_network" ] || docker network inspect -f '{{range .IPAM.Config}}{{println .Subnet}}{{end}}' "$trusts_network" 9>&-
			done
		sed -n 's/^# Trusted besides the stack.s own networks: *//p' "$releases/$2/edge/$1/haproxy.cfg" | tr ' ' '\n'
	} | grep . | sort -u >"$run_dir/state/trusted"
	cmp -s "$run_dir/state/trusted" "$edge/$1/state/trusted.lst" && return 0
	write_file "$edge/$1/state/trusted.lst" <"$run_dir/state/trusted" || return 1
	while IFS= read -r trusts_network; do
		edge_ask "$1" "add acl $edge_inside/state/trusted.lst $trusts_network" >/dev/null
	done <"$run_dir/state/trusted"
	return 0
}

# edge_put APP MAP KEY VALUE: the file first, then the edge.
edge_put() {
	put_file=$edge/$1/state/$2.map
	{
		grep -v "^$3 " "$put_file" 2>/dev/null && :
		printf '%s %s\n' "$3" "$4"
	} | write_file "$put_file" || return 1
	deadline_in 10
	while :; do
		put_said=$(edge_ask "$1" "set map $edge_inside/state/$2.map $3 $4") && [ -z "$(printf '%s' "$put_said" | tr -d '[:space:]')" ] && return 0
		# Answers that are no HTTP cannot tell which release made them: the edge of such an app has no use for that map.
		case "$2 $put_said" in 'release Unknown map'*) return 0 ;; esac
		# One that does not run reads the file when it starts.
		put_id=$(edge_container "$1") || engine_lost || return 1
		[ -n "$put_id" ] || return 0
		past_deadline && break
		nap 0.2
	done
	fail "the edge of $1 rejected the command $2 $3 $4: ${put_said:-no answer}"
}

# edge_standby APP SLOT on|off: while it is on, the other slot's containers take requests where none of SLOT takes connections.
# An edge that starts again has it off.
edge_standby() {
	case $2 in blue | green) ;; *) return 0 ;; esac
	app_read "$RELEASE" "$1" || return 1
	case $3 in
	on) standby_verb=enable ;;
	*) standby_verb=disable ;;
	esac
	standby_command=
	for standby_port in $(app_numbers); do
		for standby_server in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do
			standby_command="$standby_command$standby_verb server $2_$standby_port/b$standby_server;"
		done
	done
	edge_ask "$1" "$standby_command" >/dev/null
	return 0
}

# edge_get APP MAP: what the map of one entry says.
edge_get() {
	sed -n "s/^$2 //p" "$edge/$1/state/$2.map" 2>/dev/null
}

# edge_ready APP: waits until the edge answers on its socket.
edge_ready() {
	deadline_in 15
	until edge_ask "$1" 'show version' | grep -q .; do
		[ -n "$(edge_container "$1")" ] || { ! past_deadline || return 1; }
		past_deadline && return 1
		nap
	done
}

# edge_knows APP SLOT COUNT: waits until the edge has found that many containers of the slot by their names, and they are up.
edge_knows() {
	app_read "$RELEASE" "$1" || return 1
	deadline_in 15
	until [ "$(edge_servers "$1" "$2" "$app_port" | awk '$2 == 2' | grep -c .)" -ge "$3" ]; do
		past_deadline && return 1
		nap
	done
}

# edge_drain APP SLOT SECONDS: waits until no request to that slot is in flight. Fails when some still are; drain_open says how many.
edge_drain() {
	app_read "$RELEASE" "$1" || return 0
	deadline_in "$3"
	while :; do
		drain_open=0
		for drain_port in $(app_numbers); do
			drain_count=$(edge_count "$1" "$2" "$drain_port") || return 0
			drain_open=$((drain_open + ${drain_count##* }))
		done
		[ "$drain_open" != 0 ] || return 0
		past_deadline && return 1
		nap
	done
}

# edge_again APP: an edge that has just died is started again by the Engine; waits for that.
edge_again() {
	deadline_in 20
	until edge_ask "$1" 'show version' | grep -q .; do
		past_deadline && return 1
		nap 0.2
	done
}

# fence_wanted: what the fence is while this run goes on: raised by its step and not lifted yet, or as it rests.
fence_wanted() {
	if has fenced && ! has lifted; then printf '%s\n' "$DURING_MIGRATIONS"; else fence_rest; fi
}

# fence_rest: what the fence is where no run has raised one: off, or as `estiba maintenance on` ordered.
fence_rest() {
	if [ -e "$state/maintenance" ]; then echo maintenance; else echo off; fi
}
