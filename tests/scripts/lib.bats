#!/usr/bin/env bats
# The libraries of the server's scripts, in every shell that servers have.

load helper

@test "a link is pointed in one step, read back and taken away" {
	script common 'mkdir -p "$releases/a" "$releases/b"
		point "$root/current" releases/a && pointed "$root/current"
		point "$root/current" releases/b && pointed "$root/current"
		point "$root/current" "" && pointed "$root/current"; [ ! -e "$root/current" ]'
	[ "$status" = 0 ]
	[ "$output" = 'a
b' ]
}

@test "state is put, gotten and missing" {
	script common 'put key "two words"; get key; has key && echo yes; has other || echo no; get other'
	[ "$output" = 'two words
yes
no' ]
}

@test "the first reason given is the one that is kept" {
	script common 'fail "first"; fail "second"; cat "$run_dir/reason"'
	[ "$output" = 'second
first' ]
}

@test "a refusal keeps its exit code" {
	script common 'refuse 6 "moved" || cat "$run_dir/refused"'
	[ "$output" = '6' ]
}

@test "two who follow the edges at once do not take the file from one another" {
	script 'common settings compose proxies' 'APPS=web PROXIES=
		edge_addresses() { echo "web 172.18.0.2 "; }
		if [ -n "${FOLLOWER:-}" ]; then
			run_dir=$run_dir/$FOLLOWER
			mkdir -p "$run_dir/state"
			for _ in $(seq 200); do proxies_follow; done
			exit
		fi
		FOLLOWER=one sh "$0" &
		FOLLOWER=two sh "$0" &
		wait
		cat "$state/edge-addresses"
		ls "$state"'
	[ "$output" = 'web 172.18.0.2 
edge-addresses' ]
}

@test "a deadline passes by the clock that nobody can set" {
	script common 'deadline_in 0; past_deadline && echo passed; deadline_in 5; past_deadline || echo waiting'
	[ "$output" = 'passed
waiting' ]
}

@test "the journal holds no secret, whatever surrounds it" {
	mkdir -p "$ROOT/releases/r1/files"
	cat >"$ROOT/releases/r1/files/.env" <<-'END'
		URL=redis://:hunter22@cache
		QUOTED='a$b*c?[d]'
		TWO="it's\n\"so\" \$x\\"
		SHORT=abc
	END
	echo 'RESTIC_PASSWORD="as it is"' >"$ROOT/releases/r1/offsite.env"
	cat >"$ROOT/lines" <<-'END'
		x hunter22 y hunter22
		a$b*c?[d]
		abc stays
		back\slash
		it's
		"so" $x\.
		{"TWO": "it's\n\"so\" $x\\"}
		"as it is"
		sh -c 'a$b*c?[d]' 'it'\''s' 'it'"'"'s'
		https://u:a%24b%2Ac%3F%5Bd%5D@x/%22so%22%20%24x%5C
		hunter22-and-more
		{"a": "1\u003c2\u00263"}
	END
	printf 'LONGER=hunter22-and-more\nANGLES=1<2&3\n' >>"$ROOT/releases/r1/files/.env"
	script 'common journal' 'RELEASE=r1 ENV_FILE=.env OFFSITE_SECRETS=RESTIC_PASSWORD:0:10
		SECRETS="URL:9:8 QUOTED:0:9 TWO:0:13 SHORT:0:3 LONGER:0:17 ANGLES:0:5"
		load_secrets
		relay step <"$root/lines"
		cut -f 4 "$run_dir/journal"'
	[ "$status" = 0 ]
	[ "$output" = 'x *** y ***
***
abc stays
back\slash
***
***.
{"TWO": "***\n***"}
***
sh -c '"'***' '***' '***'"'
https://u:***@x/***
***
{"a": "***"}' ]
}

@test "a last line without its end is relayed too" {
	script 'common journal' 'RELEASE=none ENV_FILE= SECRETS= OFFSITE_SECRETS=; load_secrets; printf "a\nb" | relay step; cut -f 4 "$run_dir/journal"'
	[ "$output" = 'a
b' ]
}

@test "a line of twenty megabytes with thirty secrets is relayed in the time of its length" {
	script 'common journal' 'secret_count=0
		while [ "$secret_count" -lt 30 ]; do
			secret_count=$((secret_count + 1))
			eval "secret_$secret_count=\"number[\$secret_count^of\\\\them\""
		done
		{ printf "%s\n" "x ${secret_7} y"; printf "%s" "$secret_29"; head -c 20000000 /dev/zero | tr "\0" x; printf "%s\nafter\n" "$secret_30"; } | relay step
		cut -f 4 "$run_dir/journal" | cut -c 1-20
		wc -c <"$run_dir/journal"'
	[ "${lines[0]}" = 'x *** y' ]
	[ "${lines[1]}" = '***xxxxxxxxxxxxxxxxx' ]
	[ "${lines[2]}" = after ]
	[ "${lines[3]}" -lt 66100 ]
}

@test "a reason of five megabytes with secrets in it is cut and masked in the time of its length" {
	script 'common journal' 'secret_count=1 secret_1=hunter22 step=check
		long=$(head -c 5000000 /dev/zero | tr "\0" x)
		fail "$long" >/dev/null
		tell "hunter22 $long hunter22"
		rm "$run_dir/reason"
		fail "a hunter22 $long" >/dev/null
		cut -c 1-10 "$run_dir/reason"
		cut -f 4 "$run_dir/journal" | cut -c 1-10
		cat "$run_dir/reason" "$run_dir/journal" | wc -c
		! grep -q hunter22 "$run_dir/reason" "$run_dir/journal" && echo clean'
	[ "${lines[0]}" = 'a *** xxxx' ]
	[ "${lines[1]}" = '*** xxxxxx' ]
	[ "${lines[2]}" -lt 132000 ]
	[ "${lines[3]}" = clean ]
}

@test "no line is lost behind one of any length, and none is cut within a secret" {
	script 'common journal' 'secret_count=1
		secret_1=$(head -c 9999 /dev/zero | tr "\0" s)z
		for length in 65536 65537 1000000 1000001 5000000; do
			head -c $length /dev/zero | tr "\0" x
			printf "\nafter %s\n" $length
		done >"$root/lines"
		{ printf x; for one in $(seq 101); do printf %s "$secret_1"; done; printf "\nafter secrets\n"; } >>"$root/lines"
		relay step <"$root/lines"
		cut -f 4 "$run_dir/journal" | cut -c 1-20
		! grep -q ssss "$run_dir/journal" && echo clean'
	[ "$output" = 'xxxxxxxxxxxxxxxxxxxx
after 65536
xxxxxxxxxxxxxxxxxxxx
after 65537
xxxxxxxxxxxxxxxxxxxx
after 1000000
xxxxxxxxxxxxxxxxxxxx
after 1000001
xxxxxxxxxxxxxxxxxxxx
after 5000000
x*******************
after secrets
clean' ]
}

@test "a container whose stop was cut off is started when that stop is over, and another is not stopped for it" {
	script 'common compose' 'docker() { echo "$*" >>"$root/asked"; }
		stop_containers "one
two"
		put old-stopped "one three"
		start_stopped
		cat "$root/asked"'
	[ "$output" = 'stop one two
stop one
start one
start three' ]
}

@test "only names become words of a command, and only digits are counted with" {
	script common 'for word in 0001_initial my-app app.v2; do is_word "$word" && echo yes; done
		for word in "" -o "a b" "a;b" "\$(id)" "a/e;s/x/y" "a
b"; do is_word "$word" || echo no; done
		is_number 12 && echo yes
		for number in "" -1 "PATH[\$(id >pwned)]" 0x1f "1 2"; do is_number "$number" || echo no; done
		[ ! -e pwned ] && echo clean'
	[ "$output" = "$(printf 'yes\nyes\nyes\nno\nno\nno\nno\nno\nno\nno\nyes\nno\nno\nno\nno\nno\nclean')" ]
}

@test "what a container says of its ports is counted with only where it is a port" {
	script 'common compose' '. "$here/steps/check.sh"; check_id=c app_port=1
		docker() { printf "%s\n" "   0: 00000000:0+PATH[\$(id>pwned)] 0 0A" "   1: 00000000:1F90 0 0A" "   2: 00000000:\$(id>pwned) 0 0A"; }
		check_listens
		[ ! -e pwned ] && echo "; clean"'
	[ "$output" = '; the container listens on 8080: set [app] port; clean' ]
}

@test "a migration whose name is a command is not reversed" {
	script 'common journal' '. "$here/steps/migrate.sh"
		step=migrate secret_count=0 REVERSE_MIGRATION="python manage.py migrate {app} {migration}"
		engine_columns() { :; }
		one_off() { echo "ran: $2"; }
		DATABASE_NAME=x
		: >"$run_dir/state/columns"
		for name in "0001_a\047\$(id >pwn1)\047" "zero/e;id >pwn2;s/x/y"; do
			printf "blog %s\nshop 0001\n" "$name" >"$run_dir/state/applied"
			migrations_applied() { cat "$run_dir/state/applied"; echo "blog 0002_b"; }
			rm -f "$run_dir/state/reversing"
			migrate_reverse || echo refused
		done
		[ ! -e pwn1 ] && [ ! -e pwn2 ] && echo clean
		grep -c "is not a plain name of an app and a migration" "$run_dir/journal"'
	[ "$output" = 'refused
refused
clean
2' ]
}

@test "the lock keeps others out and is gone with its holder" {
	script 'common lock' 'lock_is_held && echo held early
		lock_open; lock_take && echo taken; lock_sign "me"; lock_holder
		lock_is_held && echo held
		( exec 9>&-; flock -n "$state/lock" true || echo "others wait" )
		sleep 30 9>&- & child=$!
		exec 9>&-
		deadline_in 1
		while lock_is_held && ! past_deadline; do nap 0.05; done
		lock_is_held || echo "free, though a child lives"
		kill "$child"'
	[ "$output" = 'taken
me
held
others wait
free, though a child lives' ]
}

@test "who looks at the lock is not taken for its holder" {
	script 'common lock' 'lock_open; exec 9>&-
		( flock -s 8; exec sleep 30 ) 8<"$state/lock" >/dev/null & look=$!
		deadline_in 5
		until ! flock -n "$state/lock" true || past_deadline; do nap 0.05; done
		lock_is_held && echo "taken for a holder"
		kill "$look"; echo looked'
	[ "$output" = looked ]
}

@test "an Engine that does not answer is known by its silence, however its client ends" {
	script 'common settings compose' '. "$here/steps/preflight.sh"; EXPECT_CURRENT=
		docker() { echo " []"; }
		preflight_do && echo went on; get engine-away; cat "$run_dir/refused"'
	[ "$output" = '1
1' ]
}

@test "the stack as Compose prints it is read whole or not at all, and no value of it is kept" {
	script 'common settings compose' '. "$here/steps/preflight.sh"; RELEASE=r COMPOSE_PROJECT=p ENV_FILE=.env
		compose() { printf "networks:\n  default:\n    secret: s3cret\n"; return "$ends"; }
		docker() { echo 2.40.3; }
		docker_alone() { sed -n "s/.*secret: .*/web hash-of-what-was-read/p"; }
		ends=0; preflight_compose && echo whole; cat "$run_dir/state/hashes"; get compose-version
		ends=1; preflight_compose || echo cut
		cut -d " " -f 1 "$run_dir/state/networks"; grep -rc s3cret "$run_dir" | grep -v ":0$"'
	[ "$output" = 'whole
web hash-of-what-was-read
2.40.3+read
cut
networks:default:' ]
}

@test "history is JSON, whatever a reason holds" {
	script 'common history' 'KIND=deploy RELEASE=r EXPECT_CURRENT= COMMIT=c BY="a \"b\" \\c" FROM="x	y" STARTED=t
		history_add 3 rolled-back check "line one
line two"; cat "$root/history.jsonl"'
	[ "$status" = 0 ]
	echo "$output" | python3 -c '
import json, sys
entry = json.loads(sys.stdin.read())
assert entry["by"] == "a \"b\" \\c", entry
assert entry["exit"] == 3 and entry["reason"] == "line one line two" and entry["failed_step"] == "check", entry'
}

@test "the history has the time of each step, and none that a reboot made up" {
	script 'common history' 'KIND=deploy RELEASE=r EXPECT_CURRENT= COMMIT=c BY=b FROM=f STARTED=t
		printf "%s\t%s\t%s\t\n" 100 run "" 100 began preflight 150 out preflight 170 "done" preflight 180 began start 230 failed start \
			300 began start 320 "done" start 400 began drain 20 note drain 25 "done" drain >"$run_dir/journal"
		history_add 0 deployed "" ""
		echo "500	began	check" >>"$run_dir/journal"
		history_add 0 deployed "" ""
		cat "$root/history.jsonl"'
	[ "$status" = 0 ]
	[[ "${lines[0]}" = *',"duration_ms":0,"steps":{"preflight":700,"start":700,"drain":0}}' ]]
	[[ "${lines[1]}" = *',"duration_ms":4000,"steps":'* ]]
}

@test "what an edge is ordered is written down first, and then told to it" {
	mkdir -p "$ROOT/edge/web/state"
	printf 'slot blue\n' >"$ROOT/edge/web/state/slot.map"
	script 'common settings compose edge' 'COMPOSE_PROJECT=shop
		docker() { echo id; }
		edge_ask() { cat "$edge/web/state/slot.map"; echo "$2" >>"$root/asked"; [ "${refuses:-}" ] && echo "no such map"; true; } >"$root/seen"
		edge_put web slot slot green && edge_get web slot
		cat "$root/asked" "$root/seen"'
	[ "$status" = 0 ]
	[ "$output" = 'green
set map /estiba/state/slot.map slot green
slot green' ]
}

@test "an order that the edge refuses is a failure, and one that does not run reads it when it starts" {
	mkdir -p "$ROOT/edge/web/state"
	printf 'slot blue\n' >"$ROOT/edge/web/state/slot.map"
	script 'common settings compose edge' 'COMPOSE_PROJECT=shop
		docker() { [ -z "$runs" ] || echo id; }
		edge_ask() { echo "Unknown map identifier."; }
		past_deadline() { :; }
		runs=; edge_put web slot slot green && edge_get web slot
		runs=1; edge_put web slot slot blue || cat "$run_dir/reason"'
	[ "$output" = 'green
the edge of web rejected the command slot slot blue: Unknown map identifier.' ]
}

@test "containers of a slot are those that the edge has found by their name" {
	script 'common settings compose edge' 'edge_ask() { cat <<-SAID
		1
		# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight since check_status check_result check_health check_state
		5 blue_8000 1 s1 172.28.0.3 2 0 1 1 9 6 3 3 6
		5 blue_8000 2 s2 172.28.0.4 0 0 1 1 9 6 2 0 6
		5 blue_8000 3 s3 172.28.0.9 0 32 1 1 9 1 0 0 14
		5 blue_8000 4 s4 - 0 32 1 1 9 1 0 0 14
		5 blue_8000 5 s5 172.28.0.5 2 0 1 1 9 8 2 3 6
		SAID
		}
		edge_servers web blue 8000'
	# The last has just been found, and no check of it has passed yet.
	[ "$output" = '1 2 172.28.0.3
2 0 172.28.0.4
5 0 172.28.0.5' ]
}

@test "what users got is counted by the edge, and no answer is no count" {
	script 'common settings compose edge' 'edge_ask() { printf "%s\n" "# pxname,svname,scur,hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx," "green_8000,BACKEND,3,0,10,1,2,4,"; }
		edge_count web green 8000
		edge_ask() { echo "No such proxy."; }
		edge_count web green 8000 || echo none'
	[ "$output" = '17 4 3
none' ]
}

@test "an app of a release is read by its fields" {
	mkdir -p "$ROOT/releases/r"
	printf 'web\t8000:http,9000:tcp\t/health/\texample.com\t200\t1\t60\tblue-green\tbehind\n' >"$ROOT/releases/r/apps"
	script 'common settings compose apps' 'app_read r web && echo "$app_port $app_path $app_strategy $app_place" "$(app_http_ports)" $(app_numbers)
		app_read r other || echo none'
	[ "$output" = '8000 /health/ blue-green behind 8000 8000 9000
none' ]
}

@test "files of the stack are put in place by their inodes, and those that are gone are taken away" {
	mkdir -p "$ROOT/releases/r/stack/nginx/snippets" "$ROOT/stack/nginx"
	echo new >"$ROOT/releases/r/stack/nginx/site.conf"
	echo snippet >"$ROOT/releases/r/stack/nginx/snippets/a.conf"
	echo old >"$ROOT/stack/nginx/site.conf"
	echo gone >"$ROOT/stack/nginx/gone.conf"
	script 'common settings compose edge' '. "$here/steps/stack.sh"; RELEASE=r EXPECT_CURRENT=
		inode=$(stat -c %i "$root/stack/nginx/site.conf")
		stack_same nginx || echo other
		stack_put nginx && stack_same nginx && echo same
		[ "$inode" = "$(stat -c %i "$root/stack/nginx/site.conf")" ] && cd "$root/stack" && find . -type f | sort && cat nginx/site.conf'
	[ "$output" = 'other
same
./nginx/site.conf
./nginx/snippets/a.conf
new' ]
}

serve() {
	python3 - "$ROOT" <<'PY' &
import http.server, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(503 if self.path == "/sick" else 200)
        self.end_headers()
        self.wfile.write((self.headers["Host"] + " says hello\n").encode())

    def log_message(self, *args):
        pass

server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
open(sys.argv[1] + "/port", "w").write(str(server.server_address[1]))
server.serve_forever()
PY
	SERVER=$!
	until [ -s "$ROOT/port" ]; do sleep 0.05; done
	PORT=$(cat "$ROOT/port")
}

# http_with PROGRAM: asks with that program only.
http_with() {
	serve
	mkdir -p "$ROOT/bin"
	for program in "$1" sed grep awk cat env printf timeout; do
		ln -s "$(command -v "$program")" "$ROOT/bin/$program"
	done
	[ "$1" != busybox ] || ln -s "$(command -v busybox)" "$ROOT/bin/nc"
	script 'common http' "PATH=\$root/bin
		http_status http://127.0.0.1:$PORT/ site.example 5
		http_status http://127.0.0.1:$PORT/sick site.example 5
		http_status http://127.0.0.1:9/ site.example 5
		http_body http://127.0.0.1:$PORT/ site.example 5"
	kill "$SERVER"
	[ "$output" = '200
503
refused
site.example says hello' ]
}

@test "HTTP is asked with curl" { http_with curl; }

@test "HTTP is asked with perl where there is no curl" { http_with perl; }

@test "HTTP is asked with BusyBox where there is neither" { http_with busybox; }

@test "a release is judged by what its app answered since the switch, and by what the one before answered" {
	mkdir -p "$ROOT/releases/r"
	printf 'web\t8000:http\t/\tlocalhost\t200\t1\t60\tblue-green\tbehind\n' >"$ROOT/releases/r/apps"
	script 'common settings compose edge apps judge' '. "$here/steps/observe.sh"; RELEASE=r MIN_REQUESTS=4 MAX_ERROR_RATE=0.02 OBSERVE_P95=0 observe_slot=green observe_closed="" step=observe
		containers() { :; }
		journal_slots() { :; }
		edge_slot_times() { :; }
		edge_users() { echo "$counted"; }
		MAX_P95_RATIO=1.5 observe_end=0 uptime_cs=0
		judged() { counted=$1; observe_requests=0; observe_errors=0 observe_doubt=; observe_count web && echo "$observe_requests $observe_errors $observe_doubt" || { cat "$run_dir/reason" && rm "$run_dir/reason"; }; }
		put counted.web "10 3"
		: >"$run_dir/state/observe.web"
		judged "13 3"; judged "60 4"; judged "60 8"; judged "60 12"; judged "2 2"
		echo "50 1000 150" >"$run_dir/state/observe.web"
		judged "60 12"; judged "60 43"'
	[ "$output" = '3 0 
50 1 
50 5 web 
web answered 9 of 50 real requests with an error; at most 0.02 of them are allowed
2 2 web 
50 9 
web answered 40 of 50 real requests with an error; at most 0.02 of them are allowed' ]
}

@test "a release is slower than the one before where more of its answers take longer than its p95 allows" {
	script 'common settings edge judge' '. "$here/steps/observe.sh"; MIN_REQUESTS=20 MAX_P95_RATIO=1.5 observe_slot=green step=observe
		edge_slot_times() { echo "$here_times"; }
		echo "200 1000 0" >"$run_dir/state/observe.web"
		slow() { OBSERVE_P95=$1; here_times=$2; observe_times web; observe_slow web && echo fine || cat "$run_dir/reason"; }
		slow 1 "600 100 0"; slow 0 "600 100 0"; slow 1 "220 100 0"; slow 1 "600 10 0"'
	[ "$output" = 'web is slower than the release before was: p95 60.0 ms, and before 20.0 ms; it may be 1.5 times as long
fine
fine
fine' ]
}

@test "what stands in an answer of JSON is found by its pointer" {
	cat >"$ROOT/there.json" <<-'JSON'
		{"status": "ok", "n": [1, 2.50, {"a/b": "\u00e4\ud83d\ude00\n"}],
		 "t": true, "z": null}
	JSON
	printf '{"a": 1}x' >"$ROOT/wrong.json"
	script 'common json' 'of() { printf "%s: " "$2"; json_holds "$root/$1.json" "$2" "$3" && echo yes; }
		of there /status "\"ok\""; of there /n/1 2.5; of there "/n/2/a~1b" "\"ä😀\\n\""; of there /t true; of there /z null
		of there /t "\"true\""; of there /n/7 1; of there /n/2 1; of wrong /a 1
		json_at "$root/there.json" /n/1; json_at "$root/there.json" /n || echo none'
	[ "$output" = '/status: yes
/n/1: yes
/n/2/a~1b: yes
/t: yes
/z: yes
/t: true
/n/7: nothing
/n/2: {"a/b": "\u00e4\ud83d\ude00\n"}
/a: no JSON
2.50
none' ]
}

@test "a metric keeps count of what is out of its bounds through the steps of a canary, and stays on its line" {
	mkdir -p "$ROOT/releases/r/files"
	printf '%s\n' "rate 0 3 '0.5' - run echo 0.9" "forged 0 3 1 - prometheus http://h:1 q" >"$ROOT/releases/r/metrics"
	printf '{"status": "error", "error": "x\\n1\\toutcome\\tobserve\\t0 deployed"}' >"$ROOT/answer"
	script 'common settings http json team metric' 'RELEASE=r PROJECT=p TARGET=t EXPECT_CURRENT= step=canary; put slot green
		tell() { echo "told: $*"; }
		http_body() { cat "$root/answer"; }
		for round in 1 2 3; do metrics_begin; metrics_look >/dev/null || cat "$run_dir/reason"; metrics_wrong; done
		metrics_begin; metric_look forged 0 3 1 - prometheus http://h:1 q'
	[ "$output" = 'rate
rate
the metric rate is 0.9, 3 times in a row out of its bounds (at most 0.5)
rate
told: the metric forged is not known: x 1 outcome observe 0 deployed' ]
}

@test "a metric is judged by its bounds, in a row, and is unknown where it cannot be had" {
	mkdir -p "$ROOT/releases/r/files"
	printf '%s\n' "rate 0 2 '0.5' - run cat 'value of {slot}'" "queue 0 3 - 2 prometheus http://h:1 'depth{s=\"{slot}\"}'" >"$ROOT/releases/r/metrics"
	script 'common settings http json team metric' 'RELEASE=r PROJECT=p TARGET=t EXPECT_CURRENT= step=canary; put slot green
		tell() { echo "told: $*"; }
		http_body() { cat "$root/answer"; }
		look() { metrics_look && echo "fine$(metrics_words), missing: $(metrics_missing)" || { cat "$run_dir/reason"; rm "$run_dir/reason"; }; }
		metrics_begin
		look
		echo 0.4 >"$releases/r/files/value of green"
		echo "{\"data\": {\"resultType\": \"vector\", \"result\": [{\"value\": [1, \"3\"]}]}}" >"$root/answer"
		look
		echo 9e-1 >"$releases/r/files/value of green"
		look; look
		echo 0 >"$releases/r/files/value of green"
		echo "{\"data\": {\"resultType\": \"scalar\", \"result\": [1, \"1\"]}}" >"$root/answer"
		look; look; look'
	[ "$output" = "told: the metric rate is not known: cat: 'value of green': No such file or directory
told: the metric queue is not known: no answer of Prometheus from http://h:1
fine; rate not known; queue not known, missing: rate, queue
fine; rate 0.4; queue 3, missing: 
fine; rate 9e-1; queue 3, missing: 
the metric rate is 9e-1, 2 times in a row out of its bounds (at most 0.5)
fine; rate 0; queue 1, missing: 
fine; rate 0; queue 1, missing: 
the metric queue is 1, 3 times in a row out of its bounds (at least 2)" ]
}

@test "a load check is judged by its errors, by its times, and against the release that serves" {
	script 'common settings judge smoke loadtest' 'proof_failed() { echo "${2%% (*}"; return 1; }
		tell() { :; }
		loadtest_app=web
		answers() {
			awk -v new="$1" -v old="$2" -v bad="$3" "BEGIN { for (i = 1; i <= 100; i++) {
				print \"new\", (i <= bad ? \"error\" : new + i % 7), 1
				if (old) print \"old\", old + i % 7, 1
			} }" >"$run_dir/state/load.answers"
		}
		check() { answers "$1" "$2" "$3" && loadtest_judge web 10 10 0.02 "$4" 1.5 / && echo good; }
		check 200 200 2 0; check 200 200 3 0; check 700 200 0 0; check 700 0 0 0; check 700 0 0 60; check 250 200 0 0'
	[ "$output" = 'good
the load check found too many errors
the load check found the new release slower than the one that serves
good
the load check found the new release too slow
good' ]
}

@test "perl tells parts of a second where it lacks Time::HiRes, as Debian's own does" {
	script 'common edge' 'perl -e "unshift @INC, sub { die if \$_[1] eq \"Time/HiRes.pm\" }; $edge_clock
		my \$began = clock(); select undef, undef, undef, 0.02; my \$took = clock() - \$began;
		print \$took > 0.015 && \$took < 5 ? \"fine\" : \$took;"'
	[ "$output" = fine ]
}

@test "the watchdog ends a whole process group, and says that it did" {
	script common 'setsid sh -c "sleep 60 & sleep 60; echo survived" >"$root/out" 2>&1 & group=$!
		setsid sh "$here/run/watchdog.sh" 1 "$group" "$root/flag" &
		wait "$group"; sleep 0.2
		[ -e "$root/flag" ] && echo flagged; cat "$root/out"'
	[[ $output == *flagged* && $output != *survived* ]]
}

@test "a schedule is due in its minute, once, and late where nobody looked" {
	script 'common schedule' 'at=$(($(date -u -d "2026-11-24 03:30" +%s) / 60))
		due() { schedule_due "$1" "$2" "$3" && echo due || echo no; }
		due "30|3|*|*|*" $((at - 1)) "$at"
		due "30|3|*|*|*" "$at" $((at + 1))
		due "30|3|*|*|*" $((at - 300)) $((at + 300))
		due "0 20 40|*|*|*|*" $((at - 1)) "$at"
		due "" $((at - 1)) "$at"'
	[ "$output" = 'due
no
due
no
no' ]
}

@test "of a day and a weekday either is enough, as in cron" {
	# A Tuesday.
	script 'common schedule' 'at=$(($(date -u -d "2026-11-24 03:30" +%s) / 60))
		for days in "*|*|2" "*|*|3" "24|*|*" "1 9|*|*" "1 9|*|2" "24|*|3" "24|12|*" "*|11|2"; do
			schedule_due "*|*|$days" $((at - 1)) "$at" && echo due || echo no
		done'
	[ "$output" = 'due
no
due
no
due
due
no
due' ]
}

@test "abort ends the driver of that run, and nobody else who has its number after a reboot" {
	cp -r "$BATS_TEST_DIRNAME/../../remote-scripts" "$ROOT/scripts"
	# shellcheck disable=SC2086 # as in helper.bash
	exec 9>"$ROOT/state/lock"
	flock 9
	sleep 30 3>&- 9>&- &
	other=$!
	echo "$other" >"$ROOT/runs/r1/driver.pid"
	run ${ESTIBA_TEST_SHELL:-dash} "$ROOT/scripts/abort.sh" "$ROOT" 9>&-
	[ "$output" = '' ]
	kill -0 "$other"
	[ -e "$ROOT/runs/r1/abort" ]
	kill "$other"
	sh -c 'sleep 30; : r1' driver r1 3>&- 9>&- &
	driver=$!
	# Until then it is a copy of this test.
	until grep -qF 'sleep 30; : r1' "/proc/$driver/cmdline"; do sleep 0.05; done
	echo "$driver" >"$ROOT/runs/r1/driver.pid"
	run ${ESTIBA_TEST_SHELL:-dash} "$ROOT/scripts/abort.sh" "$ROOT" 9>&-
	[ "$output" = r1 ]
	wait "$driver" || status=$?
	[ "$status" = 143 ]
	exec 9>&-
}

@test "nothing is written through a link that a container has put into a mounted folder" {
	script 'common settings compose edge' '. "$here/steps/stack.sh"; RELEASE=r EXPECT_CURRENT=
		mkdir -p "$releases/r/stack/conf/sub" "$releases/r/stack/conf/linked" "$root/stack/conf" "$root/outside" "$root/home" "$root/old"
		printf "proxy\tconf\ncertbot\tconf/linked\nproxy\tsolo\n" >"$releases/r/stack.files"
		for file in conf/a conf/sub/b conf/linked/site conf/pipe solo; do echo new >"$releases/r/stack/$file"; done
		echo theirs >"$root/outside/a"; echo theirs >"$root/outside/b"; echo theirs >"$root/home/key"; echo old >"$root/old/solo"
		ln -s "$root/outside/a" "$root/stack/conf/a"
		ln -s "$root/outside" "$root/stack/conf/sub"
		ln -s "$root/home" "$root/stack/conf/linked"
		ln -s "$root/old/solo" "$root/stack/solo"
		mkfifo "$root/stack/conf/pipe"
		stack_same conf || echo other
		stack_keep && find "$run_dir/stack.before" -type f -exec cat {} +
		stack_put conf/linked && stack_put conf && stack_put solo && stack_same conf && echo same
		cat "$root/outside/a" "$root/outside/b" "$root/home/key"
		cat "$root/stack/conf/a" "$root/stack/conf/sub/b" "$root/stack/conf/linked/site" "$root/stack/conf/pipe" "$root/old/solo"
		ls "$root/home"; [ ! -L "$root/stack/conf/a" ] && [ ! -L "$root/stack/conf/linked" ] && [ -L "$root/stack/solo" ]'
	[ "$status" = 0 ]
	[ "$output" = 'other
old
same
theirs
theirs
theirs
new
new
new
new
new
key' ]
}

@test "an order is not written through a link that somebody put beside it" {
	script 'common' 'echo theirs >"$root/outside"; ln -s "$root/outside" "$root/map.new"
		echo order | write_file "$root/map" && cat "$root/map" "$root/outside"; [ ! -L "$root/map" ]'
	[ "$status" = 0 ]
	[ "$output" = 'order
theirs' ]
}

@test "a file of a build context that was a link is not written to where that led" {
	script 'common settings compose' '. "$here/steps/image.sh"
		mkdir -p "$root/state/context" "$run_dir/context"; echo theirs >"$root/outside"
		ln -s "$root/outside" "$root/state/context/x"; echo first >"$root/state/context.manifest"
		sha256sum <"$root/state/context.manifest" | cut -d " " -f 1 >"$run_dir/context.base"
		echo ours >"$run_dir/context/x"; : >"$run_dir/context.gone"
		printf "644 %s  x\n" "$(sha256sum <"$run_dir/context/x" | cut -d " " -f 1)" >"$run_dir/context.manifest"
		image_context && cat "$root/outside" "$root/state/context/x"'
	[ "$status" = 0 ]
	[ "$output" = 'theirs
ours' ]
}

@test "an image of estiba's own stays the one that was pulled first, whatever its tag means later" {
	script 'common settings compose offsite' '. "$here/steps/image.sh"; KIND=deploy COMPOSE_PROJECT=app OFFSITE_IMAGE=restic:1
		mkdir -p "$run_dir/state"; echo sha256:a >"$root/restic:1"; echo sha256:c >"$root/restic:2"
		docker() {
			case "$1 $2" in
			"image inspect")
				case ${5:-$3}${4:-} in
				sha256:gone*) return 1 ;;
				sha256:*RepoDigests*) echo restic@sha256:digest ;;
				sha256:*) echo "${5:-}" ;;
				*) cat "$root/${5:-$3}" 2>/dev/null ;;
				esac
				;;
			"pull -q") echo "pulled $3" >&3 && echo sha256:d >"$root/$3" ;;
			esac
		}
		exec 3>&1
		image_own offsite restic:1 && echo "$own_image"
		echo sha256:b >"$root/restic:1"
		image_own offsite restic:1 && echo "$own_image" && restic_image
		image_own offsite restic:2 && echo "$own_image" && restic_image
		echo "restic:1 sha256:gone restic@sha256:digest" >"$state/offsite-image"
		restic_image
		image_own offsite restic:1 && echo "$own_image"'
	[ "$output" = 'sha256:a
sha256:a
sha256:a
sha256:c
restic:1
restic@sha256:digest
pulled restic@sha256:digest
sha256:d' ]
}

@test "a look at the server runs nothing that a name holds, waits for no pipe, and tells who may write there" {
	mkdir -p "$ROOT/shim" "$ROOT/releases/r/stack" "$ROOT/stack"
	printf '#!/bin/sh\nexit 1\n' >"$ROOT/shim/docker" && chmod 755 "$ROOT/shim/docker"
	echo 'haproxy:lts sha256:a' >"$ROOT/state/edge-image"
	ln -s releases/r "$ROOT/current" && echo a >"$ROOT/releases/r/stack/conf" && mkfifo "$ROOT/stack/conf"
	chmod 0777 "$ROOT/runs"
	# shellcheck disable=SC2086 # `busybox sh` is two words
	PATH=$ROOT/shim:$PATH run timeout 20 ${ESTIBA_TEST_SHELL:-dash} "$SCRIPTS/ask/facts.sh" "$ROOT" app salt app none "x||;e touch $ROOT/pwned
#"
	[ ! -e "$ROOT/pwned" ]
	[[ $output == *"edited=stack:conf"* ]]
	[[ $output == *"open_to_all=$ROOT/runs"* ]]
	[[ $output == *estiba:end* ]]
}

@test "a copy of the database is dropped by its whole name or not at all" {
	script 'common settings database' 'engine_standbys() { echo "estiba_20250101t000000z_x shop"; }
		engine_drop() { echo "dropped $1"; }; engine_create() { return 1; }
		standby_make a b'
	[[ $output != *dropped* ]]
}

@test "a page leads to no other host, however its address is written" {
	script 'common settings http site' 'site_url=http://site.example?a; site_base; site_url="https://site.example/a/b?c=/d#/e"; site_base'
	[ "$output" = 'http://site.example
https://site.example/a' ]
}

@test "what a service of the stack wrote beside its files stays, and only a file that another release has otherwise is replaced" {
	script 'common settings compose edge' '. "$here/steps/stack.sh"; . "$here/steps/preflight.sh"; RELEASE=new EXPECT_CURRENT=old
		containers() { echo id; }
		mkdir -p "$releases/old/stack/traefik" "$releases/new/stack/traefik" "$root/stack/traefik/sub"
		printf "traefik\ttraefik\ntraefik\tacme.json\n" >"$releases/new/stack.files"
		printf "traefik\nacme.json\n" >"$releases/new/stack.writable"; : >"$releases/new/stack.reloads"
		for one in old new; do echo same >"$releases/$one/stack/traefik/same.yml"; echo "$one" >"$releases/$one/stack/traefik/other.yml"; : >"$releases/$one/stack/acme.json"; done
		echo dropped >"$releases/old/stack/traefik/dropped.yml"; echo added >"$releases/new/stack/traefik/added.yml"
		cp -r "$releases/old/stack/." "$root/stack/"
		echo certificates >"$root/stack/acme.json"; echo data >"$root/stack/traefik/sub/dump.rdb"; echo edited >"$root/stack/traefik/same.yml"
		ln -s dump.rdb "$root/stack/traefik/sub/latest"
		preflight_files_changed traefik && echo changed
		stack_keep && stack_put traefik && stack_put acme.json && stack_same traefik && stack_same acme.json && echo done
		cd "$root/stack" && cat acme.json traefik/other.yml traefik/same.yml traefik/sub/latest traefik/added.yml; [ ! -e traefik/dropped.yml ] && echo dropped
		echo renewed >acme.json; echo more >traefik/sub/dump.rdb
		stack_put traefik "$run_dir/stack.before" && stack_put acme.json "$run_dir/stack.before"
		cat acme.json traefik/other.yml traefik/sub/dump.rdb traefik/dropped.yml; [ ! -e traefik/added.yml ] && echo gone
		cp "$releases/old/stack/traefik/other.yml" "$releases/new/stack/traefik/other.yml"; rm "$releases/new/stack/traefik/added.yml" "$releases/old/stack/traefik/dropped.yml"
		preflight_files_changed traefik || echo unchanged
		mv "$releases/new/stack.writable" "$releases/old/stack.writable"; stack_is_written acme.json && echo written
		rm "$releases/old/stack.writable"; stack_is_written acme.json || echo not known'
	[ "$output" = 'changed
done
certificates
new
edited
data
added
dropped
renewed
old
more
dropped
gone
unchanged
written
not known' ]
}

@test "a database that does not answer is not one that is not there" {
	script 'common settings compose database' '. "$here/lib/database/postgres.sh"; DATABASE_NAME=db
		mkdir -p "$root/answers"
		engine_sql() {
			cat >/dev/null
			[ "$#" = 2 ] || { echo replaced; return 0; }
			[ -e "$root/answers/$2" ] || return 1
			cat "$root/answers/$2"
		}
		engine_exists copy || echo $?
		: >"$root/answers/copy"; engine_exists copy || echo $?
		rm "$root/answers/copy"; echo 1 >"$root/answers/db"
		engine_replace copy away
		echo 1 >"$root/answers/away"; : >"$root/answers/copy"; engine_replace copy away && echo before'
	[ "$output" = '2
1
replaced
before' ]
}

@test "a database that has stopped in the middle of a deploy is not one that is not there: without a backup nothing migrates" {
	wanted='KIND=deploy BACKUP=before-migrations DATABASE_SERVICE=db DATABASE_ENGINE=postgres COMPOSE_PROJECT=shop
		migrations_are_pending() { :; }
		note() { echo "note: $1"; }
		database_wait() { fail "it does not answer"; }
		. "$here/steps/backup.sh"
		backup_wanted; echo "wanted: $?"; cat "$run_dir/reason" 2>/dev/null'
	# Its container is there, and does not run.
	script 'common compose database' "docker() { case \"\$*\" in *' -a '*) echo id ;; esac; }; $wanted"
	[ "$output" = "wanted: 2
it does not answer" ]
	# Somebody has taken it away since this run saw it.
	rm -f "$ROOT/runs/r1/reason"
	script 'common compose database' "docker() { :; }; put database-known 1; $wanted"
	[ "$output" = "wanted: 2
it does not answer" ]
	rm -f "$ROOT/runs/r1/state/database-known" "$ROOT/runs/r1/reason"
	script 'common compose database' "docker() { :; }; $wanted"
	[ "$output" = "note: there is no database yet
wanted: 1" ]
}

@test "the copy that an open run may go back to is not taken away" {
	script 'common settings compose database' 'mkdir -p "$runs/r0/state" "$runs/r2/state"
		echo estiba_r0 >"$runs/r0/state/standby"; echo estiba_r2 >"$runs/r2/state/standby"; : >"$runs/r2/outcome"
		engine_standbys() { printf "estiba_r0\nestiba_r2\nestiba_r3\n"; }
		engine_drop() { echo "drop $1"; }
		engine_create() { return 1; }
		standby_make a b'
	[ "$output" = 'drop estiba_r2
drop estiba_r3' ]
}

@test "a backup that has just been made stays, whatever the clock said before" {
	script 'common settings compose database volumes' '. "$here/steps/backup.sh"; mkdir -p "$backups"; backup_id=20260101T000000Z-a KEEP_BACKUPS=2 KEEP_DAILY=0 KEEP_WEEKLY=0 KEEP_MONTHLY=0
		for id in 20260101T000000Z-a 20270101T000000Z-b 20270102T000000Z-c 20270103T000000Z-d; do : >"$backups/$id.dump"; done
		backup_retain'
	[ "$output" = 'backup 20270101T000000Z-b is gone' ]
	[ -e "$ROOT/backups/20260101T000000Z-a.dump" ]
}

@test "an old release whose front page fails on the migrated schema is not healthy on it" {
	mkdir -p "$ROOT/releases/old" "$ROOT/releases/new"
	echo 'APPS=web' | tee "$ROOT/releases/old/settings.env" >"$ROOT/releases/new/settings.env"
	printf 'web\t8000:http\t/health/\texample.com\t200\t1\t60\tblue-green\tbehind\n' >"$ROOT/releases/old/apps"
	script 'common settings compose edge apps picture' '. "$here/steps/migrate.sh"; RELEASE=new EXPECT_CURRENT=old HEALTH_TIMEOUT=1 HEALTH_REQUEST_TIMEOUT=5
		put old-slot blue; journal() { echo "$3"; }; step=migrate
		echo "front web 302" >"$run_dir/state/before"
		deadline_in() { looks=0; }; past_deadline() { looks=$((looks + 1)); [ "$looks" -gt 5 ]; }; nap() { :; }
		containers() { echo id; }; edge_servers() { echo "1 2 address"; }
		edge_status() { case $2 in /) cat "$root/front" ;; *) echo 200 ;; esac; }
		echo 500 >"$root/front"; migrate_old_is_healthy || echo sick
		echo 302 >"$root/front"; migrate_old_is_healthy && echo healthy
		echo 200 >"$root/front"; migrate_old_is_healthy && echo healthy
		echo "front web 500" >"$run_dir/state/before"; echo 500 >"$root/front"; migrate_old_is_healthy && echo as before'
	[ "$output" = 'on the migrated schema web answers / with 500, and with 302 before
sick
healthy
healthy
as before' ]
}

@test "a build argument becomes a variable of nothing but the build" {
	mkdir -p "$ROOT/path" "$ROOT/other/context"
	cat >"$ROOT/path/docker" <<-'END'
		#!/bin/sh
		[ "$1" = build ] || exit 1
		printf '%s\n' "$@" | grep -x -A 1 -e --build-arg | grep -v '^--'
		echo "token $TOKEN"
		echo sha256:built >"$(printf '%s\n' "$@" | grep -A 1 -x -e --iidfile | tail -n 1)"
	END
	chmod +x "$ROOT/path/docker"
	cat >"$ROOT/runs/r1/build.env" <<-'END'
		BUILD_ARGUMENTS=''\''PATH=/nowhere'\'' '\''RELEASE=theirs'\'' '\''run_dir=ROOT/other'\'' '\''A=two words; $(id)'\'' TOKEN'
	END
	sed -i "s|ROOT|$ROOT|" "$ROOT/runs/r1/build.env"
	echo "export TOKEN='the secret' run_dir=$ROOT/other" >"$ROOT/runs/r1/build.values"
	PATH=$ROOT/path:$PATH script 'common settings compose' '. "$here/steps/image.sh"
		RELEASE=r BUILD_TARGET= IMAGES=ESTIBA_IMAGE:app BUILT_IMAGE=ESTIBA_IMAGE DOCKERFILE=Dockerfile
		image_context() { return 0; }
		image_build && echo "$IMAGE $RELEASE ${TOKEN:-unknown here} ${run_dir##*/}"; [ -e "$root/other/context" ] && echo there'
	[ "$output" = "PATH=/nowhere
RELEASE=theirs
run_dir=$ROOT/other
A=two words; \$(id)
TOKEN
token the secret
sha256:built r unknown here r1
there" ]
}

@test "a release whose containers cannot be removed stays" {
	script 'common settings compose static' '. "$here/steps/prune.sh"; IMAGE_NAME=app COMPOSE_PROJECT=p; mkdir -p "$releases/old"; : >"$releases/old/settings.env"
		docker() { case $1 in ps) return 1 ;; esac; }
		prune_release old || echo kept
		docker() { case $1 in ps) echo id ;; rm) return 1 ;; esac; }
		rm -f "$run_dir/reason"; prune_release old || cat "$run_dir/reason"; [ -e "$releases/old" ] && echo there'
	[ "$output" = 'kept
the containers of release old cannot be removed
there' ]
}

@test "a note of a step has no secret in it" {
	script 'common journal' 'secret_count=1 secret_1=hunter22-and-more step=pending
		tell "pending migration: DEBUG dsn=postgres://app:hunter22-and-more@db/app"; cut -f 4 "$run_dir/journal"'
	[ "$output" = 'pending migration: DEBUG dsn=postgres://app:***@db/app' ]
}

@test "the sum of another file is not that of a backup" {
	script 'common settings compose database' 'engine_list() { return 0; }; mkdir -p "$backups"
		echo tampered >"$backups/b.dump"; : >"$backups/b.counts"; echo other >"$root/other"
		printf "%s  %s\n" "$(sha256sum <"$root/other" | cut -d " " -f 1)" "$root/other" >"$backups/b.dump.sha256"
		backup_whole b || cat "$run_dir/reason"'
	[ "$output" = 'the backup b is damaged: its SHA-256 differs' ]
}

@test "a size that a database reports is counted with only where it is a number" {
	script 'common settings compose database' 'mkdir -p "$backups"; cd "$root"; docker() { :; }
		database_room "PATH[\$(id >pwned)]" || cat "$run_dir/reason"; [ ! -e pwned ] && echo clean'
	[ "$output" = 'the database does not report its size
clean' ]
}

@test "the password of an image on its way is in no argument" {
	mkdir -p "$ROOT/path"
	cat >"$ROOT/path/docker" <<-'END'
		#!/bin/sh
		cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' ' ' >>"$ROOT/seen"
		case $1 in
		login) cat >"$ROOT/password" ;;
		context) echo unix:///var/run/docker.sock ;;
		esac
		exit 0
	END
	chmod +x "$ROOT/path/docker"
	password=$(head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n')
	# shellcheck disable=SC2086 # `busybox sh` is two words
	printf '%s' "$password" | PATH=$ROOT/path:$PATH ${ESTIBA_TEST_SHELL:-dash} "$SCRIPTS/receive/image.sh" "$ROOT" id pull app:r 127.0.0.1:1/image@sha256:x 1 user
	[ "$(cat "$ROOT/password")" = "$password" ]
	grep -q 'docker login' "$ROOT/seen"
	! grep -qF "$password" "$ROOT/seen" || false
}

# inside PROGRAM ARG…: a program for a container with a volume, with a folder of the test in its place.
inside() {
	sed "s|^cd /volume|cd $ROOT/volume|" "$SCRIPTS/inside/$1.sh" >"$ROOT/inside.sh"
	shift
	run dash "$ROOT/inside.sh" "$@"
}

# a_volume: with some files, and an archive of how it was before they changed.
a_volume() {
	mkdir -p "$ROOT/volume/a/b" && cd "$ROOT/volume" || return 1
	echo old >one && echo old >a/b/two && echo old >.hidden && chmod 2770 a
	tar -C "$ROOT/volume" --hard-dereference -cf "$ROOT/archive" .
	echo new >one && rm .hidden && echo new >three
}

@test "the content of a volume is exchanged with an archive's, and comes back from wherever that was cut off" {
	a_volume
	inside volume-exchange r1 '' <"$ROOT/archive"
	[ "$status" = 0 ] && [ "$(cat one)$(cat .hidden)" = oldold ] && [ ! -e three ]
	inside volume-back r1
	[ "$status" = 0 ] && [ "$(cat one)$(cat three)" = newnew ] && [ ! -e .hidden ] && [ "$(cat a/b/two)" = old ]
	# Once more, as after a kill: what is there is nothing that was moved in.
	inside volume-back r1
	[ "$status" = 0 ] && [ "$(cat one)$(cat three)" = newnew ] && [ "$(ls -A | sort | xargs)" = 'a one three' ]

	# The way back was cut off while it removed what it had worked with.
	inside volume-exchange r2 '' <"$ROOT/archive"
	inside volume-back r2
	mkdir -p .estiba-done-r2/names .estiba-done-r2/old && : >.estiba-done-r2/names/one
	inside volume-back r2
	[ "$status" = 0 ] && [ "$(cat one)" = new ] && [ ! -e .estiba-done-r2 ]

	# In the middle of moving in, and the app has written a file under a name that was away.
	inside volume-exchange r3 '' <"$ROOT/archive"
	mkdir -p .estiba-restore-r3/new && mv one .estiba-restore-r3/new/one && echo app >one
	inside volume-back r3
	[ "$status" = 0 ] && [ "$(cat one)" = new ] && [ "$(cat one.written-during-r3)" = app ]
}

@test "one file of a volume comes back in folders with their owners and modes, and goes again" {
	a_volume
	rm -rf a
	inside volume-exchange r1 a/b/two <"$ROOT/archive"
	[ "$status" = 0 ] && [ "$(cat a/b/two)" = old ] && [ "$(stat -c %a a)" = 2770 ] && [ "$(cat one)" = new ]
	inside volume-back r1
	[ "$status" = 0 ] && [ ! -e a/b/two ] && [ "$(cat one)" = new ]
	inside volume-exchange r2 one <"$ROOT/archive"
	[ "$(cat one)" = old ]
	# The app wrote it anew in the middle.
	mv one .estiba-restore-r2/new/one && echo app >one
	inside volume-back r2
	[ "$status" = 0 ] && [ "$(cat one)" = new ] && [ "$(cat one.written-during-r2)" = app ]
	inside volume-exchange r3 none <"$ROOT/archive"
	[ "$status" != 0 ]
	inside volume-back r3
	[ "$status" = 0 ] && [ "$(cat one)" = new ] && [ ! -e .estiba-restore-r3 ]
	inside volume-exchange r4 one <"$ROOT/archive"
	inside volume-keep r4
	[ "$status" = 0 ] && [ "$(cat one)" = old ] && [ "$(cat .estiba-replaced-r4/one)" = new ] && [ ! -e .estiba-restore-r4 ]
}

@test "a backup without volumes tells of none, and one that has lost its list is not whole" {
	script 'common settings compose database volumes' 'volumes_json "$root/none"'
	[ "$output" = '[]' ]
	script 'common settings compose database volumes' 'printf "media\\tsum\\t7\\t2\\tshared/media\\n" >"$root/list"; volumes_json "$root/list"'
	[ "$output" = '[{"name":"media","bytes":7,"files":2}]' ]
	script 'common settings compose database volumes' 'mkdir -p "$backups"; printf "{\"volumes\":[{\"name\":\"media\"}]}\\n" >"$backups/b.json"
		volumes_try_all b; echo "$?"; cat "$run_dir/reason"'
	[ "$output" = "1
the list of volumes of backup b is not whole: 1 were copied" ]
}

@test "an archive that has changed on the disk does not take the place of the one that was just made" {
	script 'common settings compose database volumes' 'mkdir -p "$backups"; VOLUMES=media=shared/media RELEASE=r; mkdir -p "$root/shared/media"
		tell() { echo "$1"; }; backup_partial=$backups/.partial-new; backup_id=new
		volumes_run() { case $2 in du*) echo 1 ;; *) tar -C "$root/shared/media" -cf - . ;; esac; }
		echo x >"$root/shared/media/f"; tar -C "$root/shared/media" -cf "$backups/old.volume-media.tar" .; : >"$backups/old.dump"
		sum=$(sha256sum <"$backups/old.volume-media.tar"); printf "media\\t%s\\t1\\t1\\tshared/media\\n" "${sum%% *}" >"$backups/old.volumes"
		printf y | dd of="$backups/old.volume-media.tar" bs=1 conv=notrunc 2>/dev/null
		volumes_take && volumes_name && volumes_whole new media && echo good'
	[ "$status" = 0 ] && [[ "$output" == *"old.volume-media.tar is damaged"*good ]]
}

@test "a backup whose volumes cannot be copied keeps the dump and is no good backup, whether or not a reason was told" {
	for told in 'fail "no room"' 'return 1'; do
		rm -f "$ROOT/runs/r1/reason"
		script 'common settings compose database volumes' ". \"\$here/steps/backup.sh\"
			for stub in backup_wanted backup_clear database_room engine_dump engine_list standby_make backup_cache standby_goes backup_retain put; do
				eval \"\$stub() { :; }\"
			done
			engine_bytes() { echo 1; }; backup_name() { echo named; }; note() { :; }
			KIND=backup RESTORE=never DATABASE_NAME=x
			volumes_take() { $told; }
			backup_do; echo \"ends \$?\"; cat \"\$run_dir/reason\""
		[[ "$output" == *named*"ends 1"*"backup r1 holds the database alone, since the volumes could not be copied: "* ]]
	done
}

@test "a service that refuses its changed files is named, and one that this run made is not asked when it is undone" {
	script common '. "$here/steps/stack.sh"
		RELEASE=r2 EXPECT_CURRENT=
		mkdir -p "$releases/r2" "$run_dir/stack.before" "$root/stack/tools"
		printf "tools\ttools\n" >"$releases/r2/stack.files"
		printf "tools\tsh /check\tsh /reload\n" >"$releases/r2/stack.reloads"
		printf "tools\n" >"$run_dir/state/stack-paths"
		tell() { echo "told: $*"; }
		containers() { echo one; }
		remove_services() { echo "removed: $*"; }
		docker() { [ "$4" != /check ] || [ -e "$root/stack/tools" ]; }
		put replace "" && put replaced "" && put created ""
		stack_reload tools
		stack_undo || cat "$run_dir/reason"
		put created " tools"
		stack_undo'
	[ "$output" = 'told: tools has read its changed files
tools refuses its changed files: "sh /check" failed; its output is above
told: the services that this run made are removed: tools. Their volumes stay, with what is in them
removed: tools' ]
}

@test "static files are collected beside a look only where nothing could be written and no entry script is passed by" {
	mkdir -p "$ROOT/releases/r1/files"
	early='COMPOSE_PROJECT=p; RELEASE=r1 IMAGE=app COLLECT_STATIC="collect"
		echo blue >"$run_dir/state/slot"; : >"$releases/r1/files/slot-blue.yml"
		docker() { case "$*" in *Entrypoint*) echo "${entry:-null}" ;; esac; }
		one_off() { echo "ran $1 with $3"; return "${code:-0}"; }
		static_fill() { :; }
		tell_all() {
			static_begin_early look-environment; static_end_early
			if has static-early; then cat "$run_dir/state/static.said"; else echo later; fi
			rm -f "$run_dir/state/static-early"
		}'
	script 'common settings journal compose static' "$early"'
		: >"$run_dir/state/look-environment"; tell_all
		echo PGOPTIONS=x >"$run_dir/state/look-environment"; tell_all
		entry="[\"/entry.sh\"]"; tell_all; entry=
		echo "    entrypoint: [/entry.sh]" >"$releases/r1/files/slot-blue.yml"; tell_all; : >"$releases/r1/files/slot-blue.yml"
		code=1; tell_all; [ ! -e "$run_dir/reason" ]'
	[ "$status" = 0 ]
	[ "$output" = 'later
ran static with look-environment
later
later
the static files could not be collected beside the look at the migrations: that is done later
later' ]
}

@test "static files that are not the same are put where the proxy reads them, whatever their names, and the others stay" {
	mkdir -p "$ROOT/from/new/deep" "$ROOT/to/folder/in" && cd "$ROOT" || return 1
	for static_one in same 'with  space' 'back\slash' 'line
end' $'car\rriage' -dash new/deep/file; do printf '%s' "$static_one" >"from/$static_one"; done
	ln -s same from/link && echo old >to/link && echo old >'to/back\slash' && echo other >to/only-there
	echo file >from/folder
	ln from/same to/same
	was=$(stat -c %i to/same)
	sed "s|/to\\b|$ROOT/to|g; s|^cd /from|cd $ROOT/from|; s|sums/from|sums/F|g; s|sums$ROOT/to|sums/T|g" "$SCRIPTS/inside/static-publish.sh" >publish.sh
	run sh -c "$ESTIBA_TEST_SHELL $ROOT/publish.sh list | sort"
	[ "$output" = './-dash
./back\slash
./car'$'\r''riage
./folder
./line
./link
./new/deep/file
./with  space
end' ]
	run $ESTIBA_TEST_SHELL publish.sh put
	[ "$status" = 0 ] && [ -z "$output" ]
	diff -r --no-dereference from to | grep -v only-there && return 1
	[ "$(stat -c %i to/same)" = "$was" ] && [ "$(cat to/only-there)" = other ] && [ "$(readlink to/link)" = same ]
	run $ESTIBA_TEST_SHELL publish.sh list
	[ -z "$output" ]
	# What cannot be read is not taken for the same. Root reads everything, so it is the program that fails.
	printf '%s\n' '#!/bin/sh' 'exit 1' >sha256sum && chmod +x sha256sum
	PATH=$ROOT:$PATH run $ESTIBA_TEST_SHELL publish.sh put
	[ "$status" != 0 ]
}
