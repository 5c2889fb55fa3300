#!/bin/sh
# abort.sh ROOT: tells the running driver to stop and undo; prints its run, or nothing.
root=$1
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
. "$here/lib/common.sh"
. "$here/lib/lock.sh"

lock_is_held || exit 0
for run in "$runs"/*/; do
	run_is_open "$run" || continue
	kill -TERM "$(cat "$run/driver.pid")" && basename "$run"
done
