#!/bin/sh
# The driver of one run: takes its steps in order; when one fails, undoes those that began, in reverse;
# writes the outcome. After the commit point (the rename of <root>/current) nothing is undone any more:
# what is left is finished.
#
#   transaction.sh ROOT RUN            runs it (descriptor 9 holds the lock)
#   transaction.sh ROOT RUN recover    ends a run whose driver died: undoes it, or finishes it
#
# Exit status: the one of `estiba deploy` (docs/reference.md).
set -u

root=$1
RUN=$2
mode=${3:-run}
here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
. "$here/lib/common.sh"
. "$here/lib/settings.sh"
. "$here/lib/journal.sh"
. "$here/lib/lock.sh"
. "$here/lib/history.sh"
. "$here/lib/alerts.sh"

run_dir=$runs/$RUN
read_run
# Without it nothing can be undone, and no later deploy is kept from its work by that.
if [ "$mode" = recover ] && [ ! -e "$releases/$RELEASE/release.env" ]; then
	gone="the files of release $RELEASE are gone, so this run could neither be undone nor finished: estiba status says what serves, and the next deploy replaces it"
	journal outcome '' "4 failed $gone"
	printf '4\tfailed\t\t%s\n' "$gone" | write_file "$run_dir/outcome"
	exit 4
fi
read_release "$RELEASE"
. "$releases/$RELEASE/release.env"
# Again: who runs this is not who made the release.
read_run
mkdir -p "$run_dir/state"

step_pid=
aborted=
trap abort TERM INT
trap '' HUP

# abort: the running step is told to end, and ended a second later. What it left running elsewhere, a one-off
# container say, goes before anything is undone.
# shellcheck disable=SC2317 # called by the trap
abort() {
	aborted=1
	[ -n "$step_pid" ] || return 0
	# By its number too: on a busy machine it may not have made its group yet.
	kill -TERM "-$step_pid" "$step_pid" 2>/dev/null
	(
		sleep 1
		kill -KILL "-$step_pid" 2>/dev/null
	) 9>&- &
}

# committed: did this run rename `current`? Another run may have made the same release current.
committed() {
	began commit && [ "$(pointed "$root/current")" = "$RELEASE" ]
}

# deadline_of STEP: the longest that step may take, in seconds, as its head says it. Several apps are drained and looked at one after
# the other.
# shellcheck disable=SC2034,SC2153 # apps stands in some heads, APPS is a setting
deadline_of() {
	apps=$(printf '%s\n' "$APPS" | wc -w)
	deadline_said=$(sed -n 's/^# Deadline: \(.*\) seconds\.$/\1/p' "$here/steps/$1.sh" 2>/dev/null)
	# One of the team's own.
	[ -n "$deadline_said" ] || deadline_said=$(awk -F '\t' -v name="$1" '$1 == name { print $4 }' "$releases/$RELEASE/steps" 2>/dev/null)
	echo $((${deadline_said:-300}))
}

# perform STEP VERB: that function of steps/STEP.sh, in a session of its own, within its deadline.
perform() {
	perform_seconds=$(deadline_of "$1")
	rm -f "$run_dir/state/timed-out"
	setsid sh "$here/run/step.sh" "$root" "$RUN" "$1" "$2" </dev/null >>"$run_dir/stray" 2>&1 9>&- &
	step_pid=$!
	printf '%s\n' "$step_pid" >"$run_dir/step.pid"
	# It was asked for just before there was a step to tell.
	[ -z "$aborted" ] || abort
	setsid sh "$here/run/watchdog.sh" "$perform_seconds" "$step_pid" "$run_dir/state/timed-out" </dev/null >/dev/null 2>&1 9>&- &
	watchdog_pid=$!
	printf '%s\n' "$watchdog_pid" >"$run_dir/watchdog.pid"
	while :; do
		wait "$step_pid"
		perform_status=$?
		# A signal ends the wait, not the step: look whether the step is really over.
		kill -0 "$step_pid" 2>/dev/null || break
	done
	# By its number too: it may not have made its group yet.
	kill -KILL "-$watchdog_pid" "$watchdog_pid" 2>/dev/null
	rm -f "$run_dir/watchdog.pid" "$run_dir/step.pid"
	# Whatever the step left behind in its session.
	kill -KILL "-$step_pid" 2>/dev/null
	step_pid=
	if [ -e "$run_dir/state/timed-out" ]; then
		[ -e "$run_dir/reason" ] || echo "the step exceeded its deadline of $perform_seconds s" >"$run_dir/reason"
		return 124
	fi
	return "$perform_status"
}

began() {
	grep -qx "began $1" "$run_dir/steps" 2>/dev/null
}

finished() {
	grep -qx "done $1" "$run_dir/steps" 2>/dev/null
}

forward() {
	[ ! -e "$run_dir/abort" ] || committed || {
		echo 'the run was stopped on request' >"$run_dir/reason"
		journal failed "$1" "$(reason)"
		return 1
	}
	journal began "$1" ''
	# A step that cannot be written down could not be undone.
	if ! echo "began $1" >>"$run_dir/steps"; then
		journal failed "$1" "the run's own records cannot be written; is the disk full?"
		return 1
	fi
	flushed
	if perform "$1" 'do' && [ -z "$aborted" ]; then
		echo "done $1" >>"$run_dir/steps"
		journal 'done' "$1" ''
		return 0
	fi
	[ -z "$aborted" ] || echo 'the run was stopped on request' >"$run_dir/reason"
	journal failed "$1" "$(reason)"
	return 1
}

# A full disk may have left the file empty.
reason() {
	grep -m 1 . "$run_dir/reason" 2>/dev/null || echo 'the step failed; its output says why'
}

# clear_the_way: before anything is undone or finished. Room on a full disk, an engine that answers again, and
# nothing left of the step that was cut off.
clear_the_way() {
	rm -f "$state/reserve"
	wait_for_engine
	beside left-overs
	# A run that was refused starts nothing that somebody may have stopped on purpose.
	case $KIND in
	deploy | rollback)
		if began image || began switch || [ -e "$run_dir/state/engine-away" ]; then beside revive; fi
		;;
	# What it has taken away is not to come back.
	down) ;;
	*) beside revive ;;
	esac
}

# beside NAME: something of steps/ that is no step: neither in the journal's list nor undone.
beside() {
	setsid sh "$here/run/step.sh" "$root" "$RUN" "$1" 'do' </dev/null >>"$run_dir/stray" 2>&1 9>&-
}

wait_for_engine() {
	deadline_in 300
	# Some clients end well where no Engine answers.
	until [ -n "$(docker info --format '{{.ServerVersion}}' 2>/dev/null 9>&-)" ]; do
		past_deadline && return 1
		nap 0.2
	done
}

# persist STEP VERB: performs it, up to three times, waiting for the engine in between.
persist() {
	for persist_try in 1 2 3; do
		aborted=
		perform "$1" "$2" && return 0
		[ "$persist_try" = 3 ] || wait_for_engine
	done
	return 1
}

# backward: undoes every step that began, the last first. Fails when one of them could not be undone.
backward() {
	clear_the_way
	[ ! -e "$run_dir/reason" ] || mv "$run_dir/reason" "$run_dir/reason.first"
	backward_failed=
	backward_why=
	reversed=
	for step in $STEPS; do reversed="$step $reversed"; done
	for step in $reversed; do
		began "$step" || continue
		journal undoing "$step" ''
		if persist "$step" undo; then
			journal undone "$step" ''
		else
			journal undo-failed "$step" "$(reason)"
			backward_failed="${backward_failed:-$step}"
			backward_why="${backward_why:-the undo of $step failed: $(reason)}"
			# The proxy may still send people to the new release: what it stands on stays.
			[ "$step" != switch ] || break
		fi
	done
	[ ! -e "$run_dir/reason.first" ] || mv "$run_dir/reason.first" "$run_dir/reason"
	[ -z "$backward_failed" ]
}

# finish CODE OUTCOME STEP [REASON]: the last word, in the history, as a file and in the journal.
finish() {
	finish_reason=${4:-}
	[ -z "$3" ] || finish_reason=$(reason)
	# Before the outcome, and sent after it: what waits is sent even if this process is killed in between.
	alert_of_run "$1" "$2" "$3" "$finish_reason"
	history_add "$1" "$2" "$3" "$finish_reason"
	# The journal first: who follows it stops at the file.
	journal outcome "$3" "$1 $2 $finish_reason"
	printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$finish_reason" | write_file "$run_dir/outcome"
	alerts_start
	case $2 in deployed | rolled-back-to) watch_start ;; esac
	# A release that was never served leaves nothing behind. Last: without its files a run that has no outcome could not be ended.
	case $1 in
	0 | 4) ;;
	*)
		[ -e "$releases/$RELEASE/committed" ] || [ ! -e "$run_dir/outcome" ] || release_is_wanted "$RELEASE" ||
			rm -rf "${releases:?}/${RELEASE:?}"
		;;
	esac
	exit "$1"
}

# watch_start: the server looks at the site by itself from now on, where the release says so, and sends what waits; nothing does yet.
watch_start() {
	{ [ "${WATCH_EVERY:-0}" = 0 ] && [ ! -e "$root/current/alerts/on" ]; } ||
		setsid sh "$here/run/watch.sh" "$root" </dev/null >/dev/null 2>&1 9>&- &
}

# compare_with_before: is what serves after the undo what served before? What is not is told with the reason.
compare_with_before() {
	case $KIND in
	deploy | rollback) ;;
	*) return 0 ;;
	esac
	mv "$run_dir/reason" "$run_dir/reason.first" 2>/dev/null
	compare_why=
	persist compare 'do' || compare_why="what serves could not be compared with what served before: $(reason)"
	[ ! -s "$run_dir/state/differs-badly" ] || compare_why=$(paste -s -d ';' "$run_dir/state/differs-badly" | sed 's/;/; /g')
	mv "$run_dir/reason.first" "$run_dir/reason" 2>/dev/null
	[ -n "$compare_why" ] || return 0
	compare_why="$(reason). The run was undone, but some things differ: $compare_why"
	printf '%s\n' "$compare_why" >"$run_dir/reason"
	return 1
}

# undo_from STEP: what a failure in STEP leads to.
undo_from() {
	if ! backward; then
		# What is left of this release may serve: until a deploy has replaced it, `status` tells of it and nothing is unchanged.
		case $KIND in deploy | rollback) printf '%s\n' "$backward_why" | write_file "$state/unfinished" ;; esac
		finish 4 failed "$1"
	elif [ "$KIND" = restore ] && [ -e "$run_dir/state/put-back" ]; then
		# It was stopped when it had changed over already.
		finish 0 "done" ''
	elif [ -e "$run_dir/refused" ]; then
		finish "$(grep -m 1 -x '[0-9]*' "$run_dir/refused" || echo 1)" refused "$1"
	elif began edge || began stack || began migrate || began start || began switch; then
		compare_with_before || finish 4 failed "$1"
		finish 3 rolled-back "$1"
	else
		finish 1 failed "$1"
	fi
}

# From the commit point on a failing step is noted and the rest goes on: the new release serves.
forward_from_commit() {
	[ "$mode" != recover ] || {
		rm -f "$state/reserve"
		wait_for_engine
		beside revive
	}
	# Too late to stop: the new release serves.
	aborted=
	trap '' TERM INT
	unfinished=
	forward_commit=
	for step in $STEPS; do
		# Whatever the records say of those before: they are done.
		[ "$step" != commit ] || forward_commit=1
		if [ -z "$forward_commit" ] || finished "$step"; then continue; fi
		rm -f "$run_dir/reason"
		forward "$step" || {
			# The room that a full disk was kept for.
			rm -f "$state/reserve"
			wait_for_engine
			beside revive
			rm -f "$run_dir/reason"
			forward "$step"
		} || {
			journal note "$step" 'the step did not finish; the next deploy resumes it'
			unfinished="${unfinished:+$unfinished; }$step: $(reason)"
		}
	done
	rm -f "$state/reserve"
	wait_for_engine
	beside revive
	finish_committed
}

# finish_committed: the release serves. Where the old one may still run beside it, a person has to know.
finish_committed() {
	committed_code=0
	committed_why=
	# Until a deploy has no such step left, `status` tells of it.
	if [ -n "$unfinished" ]; then printf '%s\n' "$unfinished" | write_file "$state/unfinished"; else rm -f "$state/unfinished"; fi
	case "; $unfinished" in *'; drain: '*) committed_code=4 ;; esac
	if [ -n "$unfinished" ]; then
		committed_why="not finished: $unfinished"
	elif [ -s "$run_dir/state/not-judged" ]; then
		committed_why="not judged: $(cat "$run_dir/state/not-judged")"
	fi
	finish "$committed_code" "$([ "$KIND" = rollback ] && echo rolled-back-to || echo deployed)" '' "$committed_why"
}

# end_what_is_left: the processes of a driver that died.
end_what_is_left() {
	for left_file in watchdog.pid step.pid; do
		left_group=$(cat "$run_dir/$left_file" 2>/dev/null) || continue
		# After a reboot the number may be somebody else's; ours names the run.
		! grep -qF "$RUN" "/proc/$left_group/cmdline" 2>/dev/null || kill -KILL "-$left_group" 2>/dev/null
		rm -f "$run_dir/$left_file"
	done
}

# watch_edges: while this run goes on, the proxies in front find an edge that starts again with another address.
watch_edges() {
	case $KIND in
	deploy | rollback | restore) setsid sh "$here/run/edges.sh" "$root" "$$" </dev/null >/dev/null 2>&1 9>&- & ;;
	esac
}

if [ "$mode" = recover ]; then
	printf '%s\n' "$$" >"$run_dir/driver.pid"
	watch_edges
	journal note '' 'the process of this run died; the run is resumed'
	end_what_is_left
	if committed; then
		forward_from_commit
	fi
	# A restore that has changed over is done.
	[ "$KIND" != restore ] || [ ! -e "$run_dir/state/put-back" ] || finish 0 "done" ''
	# The way back to plain Compose is gone to its end once the edges go.
	# So is the way down.
	case $KIND in
	eject) last_way=leave ;;
	down) last_way=down ;;
	*) last_way= ;;
	esac
	if [ -n "$last_way" ] && began "$last_way"; then
		clear_the_way
		! persist "$last_way" 'do' || finish 0 "done" ''
	fi
	last=$(sed -n 's/^began //p' "$run_dir/steps" 2>/dev/null | tail -n 1)
	[ -e "$run_dir/reason" ] || echo 'the process of the run died during this step' >"$run_dir/reason"
	undo_from "${last:-preflight}"
fi

# bring_back: the release that serves is started again where an Engine that was killed took it down: it brings back none of its
# containers, and nobody waits for the new one. Whether it comes up is its own affair.
bring_back() {
	[ -e "$run_dir/state/old-down" ] || return 0
	journal note '' 'neither the release that serves nor its edge runs: both are started again first'
	perform revive 'do'
	rm -f "$run_dir/reason" "$run_dir/state/engine-away"
}

printf '%s\n' "$$" >"$run_dir/driver.pid"
utc_now >"$run_dir/state/began"
watch_edges
for step in $STEPS; do
	if ! forward "$step"; then
		committed && forward_from_commit
		undo_from "$step"
	fi
	case $step in
	preflight) bring_back ;;
	commit) forward_from_commit ;;
	esac
done
case $KIND in
deploy | rollback) finish 0 deployed '' ;;
*) finish 0 "done" '' ;;
esac
