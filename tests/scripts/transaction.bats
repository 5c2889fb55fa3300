#!/usr/bin/env bats
# The driver of a run, with steps that only write down that they were called, and an Engine that always answers.

load helper

STEPS='preflight image edge stack switch observe commit drain prune'

setup() {
	ROOT=$(mktemp -d)
	export ROOT
	mkdir -p "$ROOT/state" "$ROOT/runs/r1/state" "$ROOT/releases/new" "$ROOT/releases/old" "$ROOT/edge" "$ROOT/slots" "$ROOT/path"
	cp -r "$BATS_TEST_DIRNAME/../../remote-scripts" "$ROOT/scripts"
	printf '#!/bin/sh\necho 24.0\n' >"$ROOT/path/docker"
	chmod +x "$ROOT/path/docker"
	PATH=$ROOT/path:$PATH
	for name in $STEPS left-overs revive compare; do stub "$name"; done
	# The two that the driver looks at itself.
	cat >>"$ROOT/scripts/steps/commit.sh" <<-'END'
		commit_do() { trace commit do && point "$root/current" releases/new; }
	END
	ln -s releases/old "$ROOT/current"
	release
	cp "$ROOT/releases/new/settings.env" "$ROOT/releases/old/settings.env"
	cat >"$ROOT/runs/r1/run.env" <<-END
		RUN=r1 KIND=deploy RELEASE=new EXPECT_CURRENT=old STEPS='$STEPS' BY=me FROM=here STARTED=now COMMIT=c
		DRAIN_TIMEOUT=1 HEALTH_TIMEOUT=1 OBSERVE=0 CONFIRM_TIMEOUT=1 ALLOW_REPLACE= IMAGE= IMAGE_IDS=
	END
}

teardown() {
	rm -rf "$ROOT"
}

# release: the one that is to be deployed.
release() {
	mkdir -p "$ROOT/releases/new"
	: >"$ROOT/releases/new/release.env"
	echo "APPS=web APP_SERVICE=web WORKERS= COMPOSE_PROJECT=p IMAGE_NAME=i IMAGES= STACK_SERVICES= ENV_FILE=.env SECRETS= OFFSITE_SECRETS=" \
		>"$ROOT/releases/new/settings.env"
}

# stub STEP: it writes its name down; it fails while $ROOT/fail.STEP.do or .undo is there, which is taken away where it says once.
stub() {
	cat >"$ROOT/scripts/steps/$1.sh" <<-END
		trace() {
			echo "\$1 \$2" >>"\$root/trace"
			if [ -e "\$root/slow.\$1.\$2" ]; then sleep 30; fi
			[ -e "\$root/fail.\$1.\$2" ] || return 0
			! grep -q once "\$root/fail.\$1.\$2" || rm "\$root/fail.\$1.\$2"
			! grep -qs refuse "\$root/fail.\$1.\$2" || { refuse 6 "\$1 found it otherwise"; return 1; }
			fail "\$1 said no"
		}
		$(printf '%s' "$1" | tr - _)_do() { trace $1 do; }
		$(printf '%s' "$1" | tr - _)_undo() { trace $1 undo; }
	END
}

# drive [recover]: runs the driver to its end; its exit status.
drive() {
	# shellcheck disable=SC2086 # `busybox sh` is two words
	run ${ESTIBA_TEST_SHELL:-dash} "$ROOT/scripts/run/transaction.sh" "$ROOT" r1 "$@" 9>/dev/null
}

traced() {
	tr '\n' ' ' <"$ROOT/trace"
}

@test "the steps are taken in order, and the outcome is told in three places" {
	drive
	[ "$status" = 0 ]
	[ "$(traced)" = 'preflight do image do edge do stack do switch do observe do commit do drain do prune do revive do ' ]
	[ "$(cut -f 1,2 "$ROOT/runs/r1/outcome")" = '0	deployed' ]
	grep -q '	outcome		0 deployed' "$ROOT/runs/r1/journal"
	grep -q '"outcome":"deployed","exit":0' "$ROOT/history.jsonl"
}

@test "what began is undone in reverse, the one that failed first" {
	: >"$ROOT/fail.switch.do"
	drive
	[ "$status" = 3 ]
	[ "$(traced)" = 'preflight do image do edge do stack do switch do left-overs do revive do switch undo stack undo edge undo image undo preflight undo compare do ' ]
	[ "$(cat "$ROOT/runs/r1/outcome")" = '3	rolled-back	switch	switch said no' ]
	[ ! -e "$ROOT/releases/new" ]
	[ "$(readlink "$ROOT/current")" = releases/old ]
}

@test "a release that serves and does not run is started again before the new one is on its way" {
	# shellcheck disable=SC2016 # for the step's own shell
	echo 'preflight_do() { trace preflight do; put old-down 1; fail "the Engine went away"; : >"$run_dir/reason"; }' >>"$ROOT/scripts/steps/preflight.sh"
	drive
	[ "$status" = 0 ]
	[ "$(traced)" = 'preflight do revive do image do edge do stack do switch do observe do commit do drain do prune do revive do ' ]
	grep -q 'neither the release that serves nor its edge runs: both are started again first' "$ROOT/runs/r1/journal"
}

@test "an undo after which not all is as before is for a person, with what differs" {
	: >"$ROOT/fail.switch.do"
	# shellcheck disable=SC2016 # for the step's own shell
	echo 'compare_do() { trace compare do; printf "one\ntwo\n" >"$run_dir/state/differs-badly"; }' >>"$ROOT/scripts/steps/compare.sh"
	drive
	[ "$status" = 4 ]
	[ "$(cat "$ROOT/runs/r1/outcome")" = '4	failed	switch	switch said no. The run was undone, but some things differ: one; two' ]

	rm -f "$ROOT/trace" "$ROOT/runs/r1/steps" "$ROOT/runs/r1/outcome" "$ROOT/runs/r1/reason" "$ROOT/runs/r1/state/differs-badly"
	release
	stub compare
	: >"$ROOT/fail.compare.do"
	drive
	[ "$status" = 4 ]
	[ "$(cut -f 4 "$ROOT/runs/r1/outcome")" = 'switch said no. The run was undone, but some things differ: what serves could not be compared with what served before: compare said no' ]
}

@test "a refusal keeps its own exit code, and one before anything was touched is a failure" {
	echo refuse >"$ROOT/fail.preflight.do"
	drive
	[ "$status" = 6 ]
	[ "$(cut -f 2 "$ROOT/runs/r1/outcome")" = refused ]
	rm -rf "$ROOT/runs/r1/steps" "$ROOT/runs/r1/outcome" "$ROOT/runs/r1/refused" "$ROOT/fail.preflight.do"
	release
	: >"$ROOT/fail.image.do"
	drive
	[ "$status" = 1 ]
	[ "$(cut -f 2 "$ROOT/runs/r1/outcome")" = failed ]
}

@test "an undo is tried three times; one that cannot be done is for a person" {
	echo once >"$ROOT/fail.stack.undo"
	: >"$ROOT/fail.switch.do"
	drive
	[ "$status" = 3 ]
	[ "$(grep -c 'stack undo' "$ROOT/trace")" = 2 ]
	rm -f "$ROOT/trace" "$ROOT/runs/r1/steps" "$ROOT/runs/r1/outcome" "$ROOT/runs/r1/reason"
	release
	: >"$ROOT/fail.switch.undo"
	drive
	[ "$status" = 4 ]
	[ "$(grep -c 'switch undo' "$ROOT/trace")" = 3 ]
	# What the switch may still lead people to stays.
	! grep -q 'stack undo' "$ROOT/trace"
	[ -e "$ROOT/releases/new" ]
}

@test "behind the commit nothing is undone: a step is tried once more, and what is not finished is told" {
	echo once >"$ROOT/fail.drain.do"
	drive
	[ "$status" = 0 ]
	[ "$(grep -c 'drain do' "$ROOT/trace")" = 2 ]
	[ "$(cut -f 4 "$ROOT/runs/r1/outcome")" = '' ]

	rm -f "$ROOT/trace" "$ROOT/runs/r1/steps" "$ROOT/runs/r1/outcome"
	: >"$ROOT/fail.prune.do"
	drive
	[ "$status" = 0 ]
	[ "$(cat "$ROOT/runs/r1/outcome")" = '0	deployed		not finished: prune: prune said no' ]
	[ "$(cat "$ROOT/state/unfinished")" = 'prune: prune said no' ]

	rm -f "$ROOT/trace" "$ROOT/runs/r1/steps" "$ROOT/runs/r1/outcome"
	: >"$ROOT/fail.drain.do"
	drive
	[ "$status" = 4 ]
	[ "$(cut -f 1,2,4 "$ROOT/runs/r1/outcome")" = '4	deployed	not finished: drain: drain said no; prune: prune said no' ]
	! grep -q undo "$ROOT/trace"
	[ -e "$ROOT/releases/new" ]

	rm -f "$ROOT/runs/r1/steps" "$ROOT/runs/r1/outcome" "$ROOT/fail.prune.do" "$ROOT/fail.drain.do"
	drive
	[ ! -e "$ROOT/state/unfinished" ]
}

@test "a release that nobody could judge is told as such" {
	# shellcheck disable=SC2016 # for the step's own shell
	echo 'observe_do() { trace observe do; put not-judged "0 requests"; }' >>"$ROOT/scripts/steps/observe.sh"
	drive
	[ "$status" = 0 ]
	[ "$(cut -f 4 "$ROOT/runs/r1/outcome")" = 'not judged: 0 requests' ]
}

@test "stopped on request, the running step ends and all is undone" {
	: >"$ROOT/slow.stack.do"
	# shellcheck disable=SC2086 # as above
	${ESTIBA_TEST_SHELL:-dash} "$ROOT/scripts/run/transaction.sh" "$ROOT" r1 9>/dev/null 3>&- >"$ROOT/said" 2>&1 &
	driver=$!
	for _ in $(seq 200); do
		! grep -qs 'stack do' "$ROOT/trace" || break
		sleep 0.05
	done
	kill -TERM "$driver"
	wait "$driver" || status=$?
	[ "$status" = 3 ]
	[ "$(cut -f 2,4 "$ROOT/runs/r1/outcome")" = 'rolled-back	the run was stopped on request' ]
	grep -q 'stack undo' "$ROOT/trace"
}

@test "taken up again before the commit a run is undone, behind it it is finished" {
	printf 'began preflight\ndone preflight\nbegan image\ndone image\nbegan edge\n' >"$ROOT/runs/r1/steps"
	drive recover
	[ "$status" = 3 ]
	[ "$(traced)" = 'left-overs do revive do edge undo image undo preflight undo compare do ' ]
	grep -q 'the process of the run died during this step' "$ROOT/runs/r1/outcome"

	rm -f "$ROOT/trace" "$ROOT/runs/r1/outcome" "$ROOT/runs/r1/reason"
	release
	for step in preflight image edge stack switch observe; do printf 'began %s\ndone %s\n' "$step" "$step"; done >"$ROOT/runs/r1/steps"
	echo 'began commit' >>"$ROOT/runs/r1/steps"
	ln -sfn releases/new "$ROOT/current"
	drive recover
	[ "$status" = 0 ]
	[ "$(traced)" = 'revive do commit do drain do prune do revive do ' ]
}

@test "started twice by a client that heard nothing of the first, a run goes on as it does" {
	echo >"$ROOT/slow.edge.do"
	printf '#!/bin/sh\nexit 0\n' >"$ROOT/scripts/run/follow.sh"
	printf '#!/bin/sh\nexit 0\n' >"$ROOT/scripts/run/guard.sh"
	# shellcheck disable=SC2086 # `busybox sh` is two words
	for _ in 1 2; do ${ESTIBA_TEST_SHELL:-dash} "$ROOT/scripts/run/start.sh" "$ROOT" r1; done
	until grep -qs 'edge do' "$ROOT/trace"; do sleep 0.05; done
	# shellcheck disable=SC2086 # as above
	${ESTIBA_TEST_SHELL:-dash} "$ROOT/scripts/run/start.sh" "$ROOT" r1
	rm "$ROOT/slow.edge.do"
	kill -TERM "$(cat "$ROOT/runs/r1/driver.pid")"
	until [ -e "$ROOT/runs/r1/outcome" ]; do sleep 0.05; done
	[ "$(cut -f 2 "$ROOT/runs/r1/outcome")" = rolled-back ]
	[ "$(grep -c '	run	' "$ROOT/runs/r1/journal")" = 1 ]
}

@test "a run that does not get the lock leaves alone what another one needs" {
	mkdir -p "$ROOT/runs/r0"
	echo 'RELEASE=new' >"$ROOT/runs/r0/run.env"
	echo 'RECOVER=' >>"$ROOT/runs/r1/run.env"
	cat >>"$ROOT/scripts/lib/lock.sh" <<-'END'
		lock_take() { return 1; }
		lock_holder() { echo 'somebody else'; }
	END
	# shellcheck disable=SC2086 # as above
	run ${ESTIBA_TEST_SHELL:-dash} "$ROOT/scripts/run/supervise.sh" "$ROOT" r1
	[ "$status" = 5 ]
	[ -e "$ROOT/releases/new" ]
	: >"$ROOT/runs/r0/outcome"
	# shellcheck disable=SC2086 # as above
	run ${ESTIBA_TEST_SHELL:-dash} "$ROOT/scripts/run/supervise.sh" "$ROOT" r1
	[ "$status" = 5 ]
	[ ! -e "$ROOT/releases/new" ]
}

@test "a run whose release is gone ends all the same" {
	echo 'began preflight' >"$ROOT/runs/r1/steps"
	rm -rf "$ROOT/releases/new"
	drive recover
	[ "$status" = 4 ]
	[ "$(cut -f 2 "$ROOT/runs/r1/outcome")" = failed ]
	grep -q '	outcome		4 failed the files of release new are gone' "$ROOT/runs/r1/journal"
}

@test "an undo that failed is told until a deploy has replaced what it left" {
	echo >"$ROOT/fail.observe.do"
	echo >"$ROOT/fail.switch.undo"
	drive
	[ "$status" = 4 ]
	[ "$(cat "$ROOT/state/unfinished")" = 'the undo of switch failed: switch said no' ]
	rm "$ROOT"/fail.* "$ROOT/runs/r1/steps" "$ROOT/runs/r1/outcome" "$ROOT/runs/r1/reason"
	drive
	[ "$status" = 0 ]
	[ ! -e "$ROOT/state/unfinished" ]
}

@test "a restore that was stopped when it had changed over says so" {
	sed -i 's/KIND=deploy/KIND=restore/; s/^\(.*\)STEPS=.[a-z ]*. /\1STEPS="load swap" /' "$ROOT/runs/r1/run.env"
	stub load
	stub swap
	echo >"$ROOT/fail.swap.do"
	drive
	[ "$status" = 1 ]
	rm "$ROOT/runs/r1/outcome" "$ROOT/runs/r1/steps"
	release
	: >"$ROOT/runs/r1/state/put-back"
	drive
	[ "$status" = 0 ]
	[ "$(cut -f 2 "$ROOT/runs/r1/outcome")" = 'done' ]
}

@test "behind the commit no step of those before it is taken again, whatever the records say" {
	printf 'began %s\n' preflight image edge stack switch observe commit >"$ROOT/runs/r1/steps"
	ln -sfn releases/new "$ROOT/current"
	drive recover
	[ "$status" = 0 ]
	[ "$(traced)" = 'revive do commit do drain do prune do revive do ' ]
}

@test "what an undo reads is on the disk before a step begins" {
	printf '#!/bin/sh\nfor file; do case $file in */steps) cp "$file" "$ROOT/synced" ;; */state/slot) echo state >>"$ROOT/synced.state" ;; esac; done\n' >"$ROOT/path/sync"
	chmod +x "$ROOT/path/sync"
	cat >>"$ROOT/scripts/steps/edge.sh" <<-'END'
		edge_do() { put slot blue; tail -n 1 "$root/synced" >"$root/seen.edge"; }
	END
	cat >>"$ROOT/scripts/steps/stack.sh" <<-'END'
		stack_do() { tail -n 1 "$root/synced" >"$root/seen.stack"; cp "$root/synced.state" "$root/seen.state"; }
	END
	drive
	[ "$status" = 0 ]
	[ "$(cat "$ROOT/seen.edge" "$ROOT/seen.stack" "$ROOT/seen.state")" = 'began edge
began stack
state' ]
}
