#!/usr/bin/env bats
# The gate of a restricted key, with scripts that tell what they were called with.

setup() {
	FOLDER=$(mktemp -d)
	ROOT=$FOLDER/root
	mkdir -p "$ROOT/bin/abc123/ask" "$ROOT/bin/abc123/run" "$ROOT/releases/r1"
	for script in ask/facts.sh ask/cat.sh ask/logs.sh run/start.sh; do
		printf 'echo "ran %s"; for word; do echo "<$word>"; done\n' "$script" >"$ROOT/bin/abc123/$script"
	done
	sed "s|@LOOK@|true ask/facts.sh ask/cat.sh ask/logs.sh|; s|@DEPLOY@|run/start.sh run/gone.sh|" \
		"$BATS_TEST_DIRNAME/../../remote-scripts/setup/gate.sh" >"$FOLDER/gate"
	cd "$FOLDER" || return
}

teardown() {
	rm -rf "$FOLDER"
}

# asks KIND REQUEST
asks() {
	# shellcheck disable=SC2086 # `busybox sh` is two words
	SSH_ORIGINAL_COMMAND=$2 run ${ESTIBA_TEST_SHELL:-dash} "$FOLDER/gate" "$1" "$ROOT" shop
}

@test "what estiba asks for runs, with its arguments" {
	asks deploy ": estiba abc123 run/start.sh a$ROOT a20260101T000000Z-x; exec /bin/sh -c 'touch pwned'"
	[ "$status" = 0 ]
	[ "${lines[0]}" = 'ran run/start.sh' ]
	[ "${lines[2]}" = '<20260101T000000Z-x>' ]
	asks look ": estiba abc123 ask/facts.sh a$ROOT a aname%100sha256:ab; x"
	[ "$status" = 0 ]
	[ "${lines[2]}" = '<>' ]
	[ "${lines[3]}" = '<name@sha256:ab>' ]
	asks look ': estiba abc123 true; x'
	[ "$status" = 0 ]
	[ ! -e pwned ]
}

@test "each kind of key has its own list, and its own root and project" {
	asks look ": estiba abc123 run/start.sh a$ROOT ax; x"
	[ "$status" = 126 ]
	[[ $output == *'may look and change nothing'* ]]
	asks deploy ": estiba abc123 run/gone.sh a$ROOT; x"
	[ "$status" = 126 ]
	[[ $output == *'estiba setup'* ]]
	asks deploy ": estiba ffffff run/start.sh a$ROOT; x"
	[[ $output == *'estiba setup'* ]]
	asks deploy ': estiba abc123 run/start.sh a/etc; x'
	[ "$status" = 126 ]
	asks deploy ': estiba abc123 run/start.sh aelsewhere; x'
	[ "$status" = 126 ]
	asks look ': estiba abc123 ask/logs.sh ashop alook; x'
	[ "$status" = 0 ]
	asks look ': estiba abc123 ask/logs.sh aother alook; x'
	[ "$status" = 126 ]
}

@test "a key that may look reads no secret" {
	mkdir "$ROOT/backups" "$ROOT/runs" "$ROOT/runs/r"
	for file in releases/r1/files/public releases/r1/files/secret backups/x.dump history.jsonl runs/r/journal runs/r/run.env; do
		mkdir -p "$(dirname "$ROOT/$file")" && echo x >"$ROOT/$file"
	done
	chmod -R 0644 "$ROOT"/releases/r1/files/* "$ROOT/backups/x.dump"
	echo files/public >"$ROOT/releases/r1/public"
	for good in "a$ROOT/releases/r1 afiles/public" "a$ROOT/ ahistory.jsonl" "a$ROOT ahistory.jsonl" "a$ROOT/runs/r ajournal"; do
		asks look ": estiba abc123 ask/cat.sh $good; x"
		[ "$status" = 0 ]
	done
	for bad in "a$ROOT/releases/r1 afiles/public afiles/secret" "a$ROOT/releases/r1/files asecret" "a$ROOT/releases/r1/files apublic" \
		"a$ROOT/backups ax.dump" "a$ROOT abackups/x.dump" "a$ROOT a$ROOT/backups/x.dump" "a$ROOT/releases/r1 a$ROOT/backups/x.dump" \
		"a$ROOT/runs/r arun.env" "a$ROOT/releases/r1 afiles/.%052" "a$ROOT/releases arl"; do
		asks look ": estiba abc123 ask/cat.sh $bad; x"
		[ "$status" = 126 ]
	done
	asks deploy ": estiba abc123 ask/cat.sh a$ROOT/releases/r1 afiles/secret; x"
	[ "$status" = 0 ]
	asks deploy ": estiba abc123 ask/cat.sh a$ROOT a/etc/passwd; x"
	[ "$status" = 126 ]
	asks deploy ": estiba abc123 ask/cat.sh a$ROOT a$ROOT/releases/r1/files/secret; x"
	[ "$status" = 126 ]
}

@test "five hundred injections run nothing" {
	words='; | & $(touch%040pwned) `touch pwned` && || > >pwned <in * ? [a] ~ ! # $HOME ${IFS} $((1)) \ \\ %073 %046%046 %012touch%040pwned
		%047 %042 %140touch%040pwned%140 %044(touch%040pwned) %00 %0 % %9 %400 -c -x --help ../../etc/passwd a/../b /etc/passwd /bin/sh {a,b}
		%041 (touch%040pwned) %050touch%040pwned%051 %052 %077 %033[2J'
	count=0
	set -f
	for word in $words; do
		for request in \
			": estiba abc123 run/start.sh a$ROOT a$word; x" ": estiba abc123 run/start.sh a$ROOT $word; x" ": estiba abc123 $word a$ROOT; x" \
			": estiba $word run/start.sh a$ROOT; x" ": estiba abc123 run/start.sh$word a$ROOT; x" "$word; touch pwned" \
			": estiba abc123 true $word; x" ": estiba abc123 ask/cat.sh a$ROOT a$word; x" ": estiba abc123 ask/cat.sh a$ROOT/$word ax; x" \
			": estiba abc123 ask/../../../../../bin/sh a-c a$word; x" ": estiba abc123 run/start.sh a$ROOT$word ax"; do
			count=$((count + 1))
			asks deploy "$request"
			[ ! -e pwned ] && [ ! -e "$ROOT/pwned" ]
			case $output in
			*root:*:0:0:* | *uid=*) false ;;
			esac
			# What is let through has words of the checked alphabet alone.
			if [ "$status" = 0 ]; then
				for line in "${lines[@]}"; do
					[[ $line =~ ^(ran\ [a-z/.]+|\<[A-Za-z0-9._:/@=,+\ -]*\>)$ ]]
				done
			else
				[ "$status" = 126 ]
			fi
		done
	done
	[ "$count" -ge 400 ]
	for byte in $(seq 1 255); do
		octal=$(printf '%03o' "$byte")
		asks deploy ": estiba abc123 run/start.sh a$ROOT a%${octal}touch%040pwned; x"
		[ ! -e pwned ]
		case $status in
		0 | 126) ;;
		*) false ;;
		esac
	done
}

@test "without a request there is no shell" {
	# shellcheck disable=SC2086 # `busybox sh` is two words
	unset SSH_ORIGINAL_COMMAND && run ${ESTIBA_TEST_SHELL:-dash} "$FOLDER/gate" deploy "$ROOT" shop
	[ "$status" = 126 ]
	[[ $output == *'opens no shell'* ]]
	for asked in '' id sftp-server ': ' ': estiba' ': estiba ' ': estiba abc123' ': estiba;' ': estiba abc123;'; do
		asks deploy "$asked"
		[ "$status" = 126 ]
	done
}
