#!/bin/sh
# boot.sh ROOT…: at boot, ends the runs that the machine's death cut off, once the Docker Engine answers.
# For a systemd unit or cron's @reboot; called as ROOT/bin/current/boot.sh.
set -u

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
for root in "$@"; do
	sh "$here/recover.sh" "$root"
	# What was not sent when the machine died; and the look at the site between deploys.
	setsid sh "$here/run/alerts.sh" "$root" send </dev/null >/dev/null 2>&1 &
	setsid sh "$here/run/watch.sh" "$root" </dev/null >/dev/null 2>&1 &
done
