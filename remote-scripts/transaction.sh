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
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
. "$here/lib/common.sh"
. "$here/lib/journal.sh"
. "$here/lib/lock.sh"
. "$here/lib/history.sh"

run_dir=$runs/$RUN
. "$run_dir/run.env"
. "$releases/$RELEASE/settings.env"
. "$releases/$RELEASE/release.env"
# Again: who runs this is not who made the release.
. "$run_dir/run.env"
mkdir -p "$run_dir/state"

step_pid=
aborted=
trap 'aborted=1; [ -z "$step_pid" ] || kill -TERM -- "-$step_pid" 2>/dev/null' TERM INT HUP

committed() {
	[ "$(pointed "$root/current")" = "$RELEASE" ]
}

# deadline_of STEP: the longest that step may take, in seconds.
deadline_of() {
	case $1 in
	image | migrate) echo 1800 ;;
	check) echo $((HEALTH_TIMEOUT + 30)) ;;
	observe) echo $((OBSERVE + 60)) ;;
	drain) echo $((DRAIN_TIMEOUT + 120)) ;;
	*) echo 300 ;;
	esac
}

# perform STEP VERB: that function of steps/STEP.sh, in a session of its own, within its deadline.
perform() {
	perform_seconds=$(deadline_of "$1")
	rm -f "$run_dir/state/timed-out"
	setsid sh "$here/step.sh" "$root" "$RUN" "$1" "$2" </dev/null >>"$run_dir/stray" 2>&1 9>&- &
	step_pid=$!
	printf '%s\n' "$step_pid" >"$run_dir/step.pid"
	setsid sh "$here/lib/watchdog.sh" "$perform_seconds" "$step_pid" "$run_dir/state/timed-out" </dev/null >/dev/null 2>&1 9>&- &
	watchdog_pid=$!
	while :; do
		wait "$step_pid"
		perform_status=$?
		# A signal ends the wait, not the step: look whether the step is really over.
		kill -0 "$step_pid" 2>/dev/null || break
	done
	kill -KILL -- "-$watchdog_pid" 2>/dev/null
	# Whatever the step left behind in its session.
	kill -KILL -- "-$step_pid" 2>/dev/null
	step_pid=
	if [ -e "$run_dir/state/timed-out" ]; then
		[ -e "$run_dir/reason" ] || echo "it took longer than its deadline of $perform_seconds s" >"$run_dir/reason"
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
	journal began "$1" ''
	echo "began $1" >>"$run_dir/steps"
	if perform "$1" 'do' && [ -z "$aborted" ]; then
		echo "done $1" >>"$run_dir/steps"
		journal 'done' "$1" ''
		return 0
	fi
	[ -z "$aborted" ] || echo 'it was told to stop' >"$run_dir/reason"
	journal failed "$1" "$(reason)"
	return 1
}

reason() {
	head -n 1 "$run_dir/reason" 2>/dev/null || echo 'the step failed; its output says why'
}

# backward: undoes every step that began, the last first. Fails when one of them could not be undone.
backward() {
	mv "$run_dir/reason" "$run_dir/reason.first" 2>/dev/null
	backward_failed=
	reversed=
	for step in $STEPS; do reversed="$step $reversed"; done
	for step in $reversed; do
		began "$step" || continue
		journal undoing "$step" ''
		aborted=
		if perform "$step" undo; then
			journal undone "$step" ''
		else
			journal undo-failed "$step" "$(reason)"
			backward_failed="${backward_failed:-$step}"
		fi
	done
	mv "$run_dir/reason.first" "$run_dir/reason" 2>/dev/null
	[ -z "$backward_failed" ]
}

# finish CODE OUTCOME STEP: the last word, in the journal, in the history and as a file.
finish() {
	finish_reason=
	[ -z "$3" ] || finish_reason=$(reason)
	history_add "$1" "$2" "$3" "$finish_reason"
	printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$finish_reason" | write_file "$run_dir/outcome"
	journal outcome "$3" "$1 $2 $finish_reason"
	exit "$1"
}

# undo_from STEP: what a failure in STEP leads to.
undo_from() {
	if ! backward; then
		finish 4 failed "$1"
	elif [ -e "$run_dir/refused" ]; then
		finish "$(cat "$run_dir/refused")" refused "$1"
	elif began migrate || began stack || began start; then
		finish 3 rolled-back "$1"
	else
		finish 1 failed "$1"
	fi
}

# From the commit point on a failing step is noted and the rest goes on: the new release serves.
forward_from_commit() {
	for step in $STEPS; do
		finished "$step" && continue
		forward "$step" || journal note "$step" "not finished; it is taken up again by the next deploy"
	done
	finish 0 "$([ "$KIND" = rollback ] && echo rolled-back-to || echo deployed)" ''
}

if [ "$mode" = recover ]; then
	journal note '' 'the driver died; this run is taken up again'
	step_left=$(cat "$run_dir/step.pid" 2>/dev/null)
	[ -z "$step_left" ] || kill -KILL -- "-$step_left" 2>/dev/null
	sh "$here/step.sh" "$root" "$RUN" left-overs 'do' 9>&-
	if committed; then
		forward_from_commit
	fi
	last=$(sed -n 's/^began //p' "$run_dir/steps" 2>/dev/null | tail -n 1)
	[ -e "$run_dir/reason" ] || echo "its driver died during this step" >"$run_dir/reason"
	undo_from "${last:-preflight}"
fi

printf '%s\n' "$$" >"$run_dir/driver.pid"
for step in $STEPS; do
	if ! forward "$step"; then
		committed && forward_from_commit
		undo_from "$step"
	fi
	[ "$step" != commit ] || forward_from_commit
done
finish 0 deployed ''
