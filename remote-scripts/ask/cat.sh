#!/bin/sh
# cat.sh DIR FILE…: these files of DIR, each after a line `estiba:file BYTES NAME`.
# A folder that is not there has none of them. Changes nothing.
[ -e "$1" ] || { echo 'estiba:end' && exit 0; }
cd "$1" || exit 1
shift
for file in "$@"; do
	[ -f "$file" ] || continue
	printf 'estiba:file %s %s\n' "$(wc -c <"$file" | tr -d ' ')" "$file"
	cat "$file"
done
echo 'estiba:end'
