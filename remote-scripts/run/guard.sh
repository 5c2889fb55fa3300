#!/bin/sh
# guard.sh ROOT RUN: looks on while a run goes on. When neither driver nor supervisor lives and there is no
# outcome, it ends the run in their place.
set -u

root=$1
here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
. "$here/lib/common.sh"
. "$here/lib/lock.sh"

until [ -e "$runs/$2/outcome" ]; do
	lock_is_held || exec sh "$here/recover.sh" "$root"
	sleep 1
done
