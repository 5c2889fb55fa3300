#!/bin/sh
# backups.sh ROOT: what is told of each backup, one JSON object a line, oldest first; of what has no dump, nothing.
# Changes nothing.
cd "$1/backups" 2>/dev/null || exit 0
for dump in *.dump; do
	[ ! -f "$dump" ] || [ ! -f "${dump%.dump}.json" ] || cat "${dump%.dump}.json"
done
