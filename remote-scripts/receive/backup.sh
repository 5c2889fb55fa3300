#!/bin/sh
# backup-take.sh ROOT BACKUP: a backup's files as a tar stream on standard input, put beside the server's own. Checked
# by its SHA-256 before it has its name; one that is there already must be the same.
set -u
umask 077

backups=$1/backups
incoming=$backups/.incoming-$2

stop() {
	rm -rf "$incoming"
	echo "estiba:error $*"
	exit 1
}

mkdir -p "$incoming" || stop "cannot make $incoming"
tar -xof - -C "$incoming" || stop 'the backup did not arrive whole'
cd "$incoming" || stop "cannot enter $incoming"
for part in dump dump.sha256 counts; do
	[ -f "$2.$part" ] || stop 'its .dump, .dump.sha256 or .counts is missing'
done
# The sum of this very file: the line may name another.
sum=$(sha256sum <"$2.dump")
[ "${sum%% *}" = "$(sed -n '1s/ .*//p' "$2.dump.sha256")" ] || stop 'the backup arrived damaged: its SHA-256 differs'
if [ -e "$backups/$2.dump" ]; then
	cmp -s "$2.dump.sha256" "$backups/$2.dump.sha256" || stop "the server has another backup of the name $2"
else
	sync "$2.dump" 2>/dev/null || sync
	for file in "$2.json" "$2.counts" "$2.dump.sha256" "$2.rdb" "$2.dump"; do
		[ ! -f "$file" ] || mv "$file" "$backups/$file" || stop "cannot put $file in place"
	done
fi
rm -rf "$incoming"
echo 'estiba:received'
