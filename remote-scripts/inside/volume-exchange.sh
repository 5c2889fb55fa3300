# shellcheck shell=sh
# volume-exchange RUN [FILE]: in a container, with a volume at /volume and an archive on the standard input: the archive's content takes
# the place of the volume's, or one file of it that of the same file. What was there waits in .estiba-restore-RUN/old; what is done is
# written there first, so that volume-back can undo it wherever it was cut off.
set -eu

work=.estiba-restore-$1
file=${2:-}
cd /volume
umask 077
rm -rf "$work/new"
mkdir -p "$work/new" "$work/old" "$work/names"

if [ -n "$file" ]; then
	# The folders that it lies in come along, for their owners and modes.
	set --
	path=
	rest=$file
	while [ "$rest" != "${rest#*/}" ]; do
		path=$path/${rest%%/*}
		rest=${rest#*/}
		set -- "$@" ".$path/"
	done
	tar -C "$work/new" --numeric-owner -p -x --no-recursion "$@" --recursion -- "./$file"
	for folder in "$@"; do
		mkdir -p "$work/old/$folder"
		[ -d "$folder" ] || { mkdir "$folder" && chown --reference="$work/new/$folder" "$folder" && chmod --reference="$work/new/$folder" "$folder"; }
	done
	printf '%s' "$file" >"$work/file.new"
	sync
	mv -T "$work/file.new" "$work/file"
	if [ -e "./$file" ] || [ -L "./$file" ]; then mv -T -- "./$file" "$work/old/$file"; fi
	mv -T -- "$work/new/$file" "./$file"
	exit
fi

tar -C "$work/new" --numeric-owner -p -x

# each FOLDER COMMAND: for whatever lies in it, with entry and name.
each() {
	for entry in "$1"/* "$1"/.[!.]* "$1"/..?*; do
		[ -e "$entry" ] || [ -L "$entry" ] || continue
		name=${entry#"$1"/}
		"$2"
	done
}
note_name() { : >"$work/names/$name"; }
move_away() {
	case $name in
	.estiba-*) ;;
	*) mv -T -- "$entry" "$work/old/$name" ;;
	esac
}
move_in() { mv -T -- "$entry" "./$name"; }

each "$work/new" note_name
sync
each . move_away
each "$work/new" move_in
chown --reference="$work/new" .
chmod --reference="$work/new" .
