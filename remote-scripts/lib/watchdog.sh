#!/bin/sh
# watchdog.sh SECONDS PGID FLAG: when SECONDS have passed, writes FLAG and ends the process group.
sleep "$1"
: >"$3"
kill -TERM "-$2" 2>/dev/null
sleep 10
kill -KILL "-$2" 2>/dev/null
