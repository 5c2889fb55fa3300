#!/bin/sh
# abort.sh ROOT [RUN]: tells the run that is under way (or that one) to stop and undo; prints it, or nothing. It is
# written down too, for a driver that has not begun yet.
root=$1
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
. "$here/lib/common.sh"
. "$here/lib/lock.sh"

if [ $# -gt 1 ]; then
	: >"$runs/$2/abort"
else
	lock_is_held || exit 0
fi
for run in "$runs"/*/; do
	[ $# = 1 ] || [ "$(basename "$run")" = "$2" ] || continue
	run_is_open "$run" || continue
	: >"$run/abort"
	driver=$(cat "$run/driver.pid")
	# After a reboot the number may be somebody else's; the driver's command line names its run.
	! grep -qF "$(basename "$run")" "/proc/$driver/cmdline" 2>/dev/null || { kill -TERM "$driver" && basename "$run"; }
done
