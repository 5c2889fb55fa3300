#!/bin/sh
# cool.sh ROOT RUN: waits until the time is over for which that run has kept the release before warm, and has it stopped then. Ends
# by itself where a later run has used its slot, or has gone back to it.
set -u

root=$1
# Where it really lies: called through bin/current, it must not take that link for its own name.
here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
for part in common lock warm; do
	. "$here/lib/$part.sh"
done
trap '' HUP

# is_mine: is it still this run's release that is warm?
is_mine() {
	warm_read && [ "$warm_run" = "$2" ]
}

# What was about to be stopped when the machine died, or the Engine was away, is stopped now.
if ! grep -q " $2\$" "$state/cooling" 2>/dev/null; then
	while is_mine "$@"; do
		left=$((warm_until - $(date +%s)))
		[ "$left" -gt 0 ] || break
		# The clock may be set meanwhile.
		[ "$left" -le 30 ] || left=30
		sleep "$left"
	done
	lock_open
	until lock_take; do
		is_mine "$@" || exit 0
		sleep 1
	done
	is_mine "$@" || exit 0
	# From here on it cannot be gone back to as it is. Nobody is kept waiting for its stop.
	mv "$state/warm" "$state/cooling" || exit 1
	exec 9>&-
fi
sh "$here/run/step.sh" "$root" "$2" cool 'do' </dev/null >>"$runs/$2/stray" 2>&1 && rm -f "$state/cooling"
