#!/bin/sh
# start.sh ROOT RUN: starts the run in a session of its own and follows its journal from the beginning.
root=$1
here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
: >>"$root/runs/$2/journal"
setsid sh "$here/run/supervise.sh" "$root" "$2" </dev/null >>"$root/runs/$2/stray" 2>&1 &
exec sh "$here/run/follow.sh" "$root" "$2" 0
