#!/bin/sh
# compare.sh ROOT: what of the release that serves is not as that release says, a line each, as people get it: an app that does not
# answer, a static file that is another one. Asked by the scripts that the server has. Changes nothing.
root=$1
here=$root/bin/current
[ -e "$here/lib/settings.sh" ] || exit 0
RELEASE=$(readlink "$root/current" | sed 's|.*/||')
EXPECT_CURRENT=$RELEASE
run_dir=$(mktemp -d) || exit 1
trap 'rm -rf "$run_dir"' EXIT
mkdir "$run_dir/state"
RUN=none
step=compare
for part in common settings journal compose http edge apps static; do
	. "$here/lib/$part.sh"
done
[ -e "$releases/$RELEASE/apps" ] || exit 0
read_release "$RELEASE"
echo 'estiba:compared'
slot=$(serving_slot)
for app in $APPS; do
	# Three looks in a row, as while a release is observed: an answer that came late is no drift.
	looks=3
	until app_answers "$RELEASE" "$app" "$slot"; do
		looks=$((looks - 1))
		if [ "$looks" = 0 ]; then
			case $app_path in
			-) echo "$app takes no connections" ;;
			*) echo "$app answers $app_path with $answers_said, not $app_status" ;;
			esac
			break
		fi
		nap 1
	done
done
static_each "$RELEASE" static_differs "$RELEASE" || echo 'the static files that people get could not be compared with those of the release'
echo 'estiba:end'
