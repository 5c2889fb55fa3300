#!/bin/sh
# schedule.sh ROOT: the backup service of the stack, in a container of its own. Looks every minute whether a backup or
# a drill is due by the settings of the release that serves, and makes it; what was due while it was away, for a day,
# is made late. Times are UTC.
set -u

root=$1
here=$root/bin/current
. "$here/lib/common.sh"
. "$here/lib/settings.sh"
. "$here/lib/schedule.sh"

working=
trap 'exit 0' TERM INT

# in_background COMMAND…: so that a signal is heard meanwhile.
in_background() {
	"$@" &
	working=$!
	wait "$working"
}

# What the death of this container cut off. A deploy is not undone from in here: that may take this very container away.
in_background sh "$here/recover.sh" "$root" own

while :; do
	now=$(date -u +%s)
	minute=$((now / 60))
	last=$(cat "$state/schedule.minute" 2>/dev/null) || last=$((minute - 1))
	# Also after a clock that was set back.
	[ "$last" -le "$minute" ] || last=$minute
	[ "$last" -ge $((minute - 1440)) ] || last=$((minute - 1440))
	current=$(pointed "$root/current")
	if [ -n "$current" ]; then
		BACKUP_SCHEDULE='' DRILL_SCHEDULE=''
		read_release "$current"
		for kind in backup drill; do
			[ "$kind" = backup ] && schedule=$BACKUP_SCHEDULE || schedule=$DRILL_SCHEDULE
			! schedule_due "$schedule" "$last" "$minute" || in_background sh "$root/bin/current/scheduled.sh" "$root" "$kind"
		done
	fi
	printf '%s\n' "$minute" | write_file "$state/schedule.minute"
	in_background sleep $((60 - $(date -u +%s) % 60))
done
