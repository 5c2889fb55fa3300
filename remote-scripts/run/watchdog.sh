#!/bin/sh
# watchdog.sh SECONDS STEP FLAG: ends the process group of STEP when SECONDS have passed, and writes FLAG. Ends by
# itself within a second of the step, so that it never signals a number that somebody else has got since.
left=$1
while [ "$left" -gt 0 ]; do
	sleep 1
	kill -0 "$2" 2>/dev/null || exit 0
	left=$((left - 1))
done
: >"$3"
kill -TERM "-$2" 2>/dev/null
for left in 1 2 3 4 5 6 7 8 9 10; do
	sleep 1
	kill -0 "$2" 2>/dev/null || exit 0
done
kill -KILL "-$2" 2>/dev/null
