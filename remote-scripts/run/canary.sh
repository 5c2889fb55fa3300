#!/bin/sh
# canary.sh ROOT pause|resume|next: holds the canary that runs, lets it go on, or ends its step. Prints `estiba:canary RUN SHARE`, or
# nothing where none runs.
root=$1
here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
. "$here/lib/common.sh"
. "$here/lib/lock.sh"

lock_is_held || exit 0
for run in "$runs"/*/; do
	if ! run_is_open "$run" || ! grep -qx 'began canary' "$run/steps" || grep -qx 'done canary' "$run/steps"; then continue; fi
	share=$(cat "$run/state/canary-share" 2>/dev/null)
	[ -n "$share" ] || continue
	case $2 in
	pause) : >"$run/canary.paused" ;;
	resume) rm -f "$run/canary.paused" ;;
	next) rm -f "$run/canary.paused" && : >"$run/canary.next" ;;
	*) exit 2 ;;
	esac && echo "estiba:canary $(basename "$run") $share"
done
