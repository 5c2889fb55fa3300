#!/bin/sh
# applied.sh ROOT: the migrations that the database has, `app name` a line, asked by the scripts and the settings of
# the release that serves. Changes nothing. Without an answer, why.
root=$1
here=$root/bin/current
[ -e "$here/lib/settings.sh" ] || {
	echo 'estiba:unknown the server has the scripts of an older estiba, and the next deploy brings newer ones'
	exit
}
current=$(readlink "$root/current" | sed 's|.*/||')
run_dir=$(mktemp -d) || exit 1
trap 'rm -rf "$run_dir"' EXIT
mkdir "$run_dir/state"
RUN=none
step=plan
for part in common settings journal compose edge apps database; do
	. "$here/lib/$part.sh"
done
read_release "$current"
if database_known && database_open && applied=$(migrations_applied); then
	printf 'estiba:applied\n%s\nestiba:end\n' "$applied"
else
	printf 'estiba:unknown %s\n' "$(cat "$run_dir/reason" 2>/dev/null || echo 'no database runs')"
fi
