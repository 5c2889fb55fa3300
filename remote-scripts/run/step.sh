#!/bin/sh
# step.sh ROOT RUN STEP VERB: one function of a step, of the team's own too, or of a task that the driver does beside them, its output
# into the journal. Exit status: the function's.
set -u

root=$1
RUN=$2
step=$3
verb=$4
here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
for part in common settings journal history compose http edge apps judge watch warm smoke json loadtest team metric picture proxies site static database volumes offsite; do
	. "$here/lib/$part.sh"
done

run_dir=$runs/$RUN
read_run
read_release "$RELEASE"
IMAGE_ID=$(cat "$releases/$RELEASE/image" 2>/dev/null)
load_secrets
old_settings
step_function=$(printf '%s' "$step" | tr - _)
if [ -e "$here/steps/$step.sh" ]; then
	. "$here/steps/$step.sh"
elif [ -e "$here/tasks/$step.sh" ]; then
	. "$here/tasks/$step.sh"
else
	step_function=team
fi

rm -f "$run_dir/status.$step" "$run_dir/state/engine-lost"
{
	"${step_function}_$verb"
	status=$?
	# It took no answer for an answer somewhere.
	[ "$status" != 0 ] || ! has engine-lost || engine_lost || status=1
	echo "$status" >"$run_dir/status.$step"
} 2>&1 | relay "$step"
exit "$(cat "$run_dir/status.$step")"
