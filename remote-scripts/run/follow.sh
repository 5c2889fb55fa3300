#!/bin/sh
# follow.sh ROOT RUN OFFSET: the run's journal from that byte on, until its outcome is written.
# Exit status 0 then, 9 when the process that carries out the run is gone and there is no outcome.
root=$1
here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
. "$here/lib/common.sh"
. "$here/lib/lock.sh"

run_dir=$runs/$2
offset=$3
idle=0
echo 'estiba:journal'
while :; do
	over=
	[ ! -e "$run_dir/outcome" ] || over=1
	size=$(wc -c <"$run_dir/journal")
	if [ "$size" -gt "$offset" ]; then
		tail -c "+$((offset + 1))" "$run_dir/journal" | head -c "$((size - offset))" || exit 1
		offset=$size
		idle=0
	elif [ -n "$over" ]; then
		exit 0
	else
		idle=$((idle + 1))
		[ "$idle" -lt 150 ] || lock_is_held || [ -e "$run_dir/outcome" ] || exit 9
		nap 0.1
	fi
done
