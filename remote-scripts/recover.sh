#!/bin/sh
# recover.sh ROOT [own]: ends every run that was interrupted: undoes it, or finishes it when it had committed; with
# `own`, those alone that the backup service makes. Does nothing while a run is worked on. Called by a run's guard, at
# boot, by the backup service, and by `estiba recover`.
set -u

root=$1
# Where it really lies: called through bin/current, it must not take that link for its own name.
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
for part in common lock recovery warm; do
	. "$here/lib/$part.sh"
done

[ -d "$state" ] || exit 0
trap '' HUP
lock_open
lock_take || exit 0
lock_sign "recovery on the server, since $(utc_now)"
recover_others '' "${2:-}"
# The runs have ended: the next one need not wait for what is looked at now.
exec 9>&-
# Of the backup service no more is asked.
[ "${2:-}" != own ] || exit 0
# What waits for the end of a warm time may have died with the machine.
! warm_read || warm_timer "$warm_run"
[ ! -e "$state/cooling" ] || warm_timer "$(sed 's/.* //' "$state/cooling")"
sh "$here/run/edges.sh" "$root"
