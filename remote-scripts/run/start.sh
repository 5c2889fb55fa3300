#!/bin/sh
# start.sh ROOT RUN: starts the run in a session of its own and follows its journal from the beginning. Asked a second time, by a
# client whose connection was lost before it heard of the first, it only follows.
root=$1
here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
: >>"$root/runs/$2/journal"
if mkdir "$root/runs/$2/begun" 2>/dev/null; then
	setsid sh "$here/run/supervise.sh" "$root" "$2" </dev/null >>"$root/runs/$2/stray" 2>&1 &
fi
exec sh "$here/run/follow.sh" "$root" "$2" 0
