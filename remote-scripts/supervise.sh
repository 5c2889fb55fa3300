#!/bin/sh
# supervise.sh ROOT RUN: takes the lock, ends what an earlier run left unfinished, starts the driver and
# stays above it: when the driver dies, its run is undone or finished at once.
set -u

root=$1
RUN=$2
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
. "$here/lib/common.sh"
. "$here/lib/journal.sh"
. "$here/lib/lock.sh"

run_dir=$runs/$RUN
. "$run_dir/run.env"
mkdir -p "$state"
journal run '' "$RUN $KIND $RELEASE"
trap '' HUP

lock_open
if ! lock_take; then
	printf '5\trefused\tlock\t%s\n' "$(lock_holder)" | write_file "$run_dir/outcome"
	journal outcome lock "5 refused $(lock_holder)"
	exit 5
fi
lock_sign "$BY from $FROM, $KIND of $RELEASE, since $STARTED"

# recover RUN: by the scripts that came with that run, which know its steps.
recover() {
	recover_here=$here
	[ ! -x "$runs/$1/scripts" ] || recover_here=$(readlink -f "$runs/$1/scripts")
	sh "$recover_here/transaction.sh" "$root" "$1" recover
}

for left in "$runs"/*/; do
	left=${left%/}
	left=${left##*/}
	if [ "$left" = "$RUN" ] || ! run_is_open "$runs/$left"; then continue; fi
	journal note '' "an earlier run, $left, was interrupted: it is ended first"
	recover "$left" || journal note '' "the earlier run $left ended with exit $?"
done

ln -sfn "$here" "$run_dir/scripts"
sh "$here/transaction.sh" "$root" "$RUN" </dev/null &
driver=$!
trap 'kill -TERM "$driver" 2>/dev/null' TERM INT
while kill -0 "$driver" 2>/dev/null; do
	wait "$driver"
done
[ -e "$run_dir/outcome" ] || recover "$RUN"
