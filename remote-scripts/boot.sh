#!/bin/sh
# boot.sh ROOT…: at boot, ends the runs that the machine's death cut off, once the Docker Engine answers.
# For a systemd unit or cron's @reboot; called as ROOT/bin/current/boot.sh.
set -u

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
for root in "$@"; do
	sh "$here/recover.sh" "$root"
done
