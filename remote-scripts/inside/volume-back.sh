# shellcheck shell=sh
# volume-back RUN: in a container, with a volume at /volume: what volume-exchange moved in moves out, and what was there comes back,
# wherever that was cut off. What somebody wrote meanwhile under a name that comes back stays beside it, as NAME.written-during-RUN.
set -eu

run=$1
work=.estiba-restore-$run
cd /volume
# Its own work of before, cut off while it was removed.
rm -rf ".estiba-done-$run"
[ -d "$work" ] || exit 0

there() {
	[ -e "$1" ] || [ -L "$1" ]
}
# each FOLDER COMMAND: for whatever lies in it, with entry and name.
each() {
	for entry in "$1"/* "$1"/.[!.]* "$1"/..?*; do
		there "$entry" || continue
		name=${entry#"$1"/}
		"$2"
	done
}
# A name of the archive's is still there where it was unpacked, until it has been moved in.
move_out() {
	if there "./$name" && ! there "$work/new/$name"; then mv -T -- "./$name" "$work/new/$name"; fi
}
move_back() {
	if there "./$name"; then mv -T -- "./$name" "./$name.written-during-$run"; fi
	mv -T -- "$entry" "./$name"
}

if [ -s "$work/file" ]; then
	file=$(cat "$work/file")
	if there "./$file" && ! there "$work/new/$file"; then
		mv -T -- "./$file" "$work/new/$file"
	elif there "./$file" && there "$work/old/$file"; then
		mv -T -- "./$file" "./$file.written-during-$run"
	fi
	if there "$work/old/$file"; then mv -T -- "$work/old/$file" "./$file"; fi
elif [ -d "$work/names" ]; then
	each "$work/names" move_out
	each "$work/old" move_back
fi
# By one step it is nothing to go back from any more: half of it removed would tell another tale.
sync
mv -T "$work" ".estiba-done-$run"
rm -rf ".estiba-done-$run"
