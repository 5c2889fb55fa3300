#!/bin/sh
# supervise.sh ROOT RUN: takes the lock, ends what an earlier run left unfinished, starts the driver and
# stays above it: when the driver dies, its run is undone or finished at once. A guard beside the two does the
# same when both of them die.
set -u

root=$1
RUN=$2
# Where it really lies: called through bin/current, it must not take that link for its own name.
here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
for part in common settings journal lock recovery; do
	. "$here/lib/$part.sh"
done

run_dir=$runs/$RUN
read_run
mkdir -p "$state"
printf '%s\n' "$$" >"$run_dir/supervisor.pid"
journal run '' "$RUN $KIND $RELEASE"
trap '' HUP

lock_open
if ! lock_take; then
	journal outcome lock "5 refused $(lock_holder)"
	printf '5\trefused\tlock\t%s\n' "$(lock_holder)" | write_file "$run_dir/outcome"
	# What was uploaded for this run alone goes again.
	rm -rf "$run_dir/context"
	[ -e "$releases/$RELEASE/committed" ] || release_is_wanted "$RELEASE" || rm -rf "${releases:?}/${RELEASE:?}"
	exit 5
fi
lock_sign "$BY from $FROM, $KIND of $RELEASE, since $STARTED"
point "$run_dir/scripts" "$here"
point "$root/bin/current" "${here##*/}"
# Room to undo with when the disk has filled up.
# PostgreSQL does not start without room for two segments of its log, of 16 MB each.
# A disk without room for it is left as it is: `preflight` looks at that.
[ -e "$state/reserve" ] || fallocate -l 50331648 "$state/reserve" 2>/dev/null ||
	head -c 50331648 /dev/zero >"$state/reserve" 2>/dev/null || rm -f "$state/reserve"
recover_others "$RUN" "$RECOVER"

setsid sh "$here/run/guard.sh" "$root" "$RUN" </dev/null >>"$run_dir/stray" 2>&1 9>&- &
sh "$here/run/transaction.sh" "$root" "$RUN" </dev/null &
driver=$!
trap 'kill -TERM "$driver" 2>/dev/null' TERM INT
while kill -0 "$driver" 2>/dev/null; do
	wait "$driver"
done
[ -e "$run_dir/outcome" ] || recover "$RUN"
