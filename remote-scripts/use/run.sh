#!/bin/sh
# run.sh ROOT SERVICE TERMINAL WORD…: a command in a container of its own, of the release that serves: with that service's image,
# environment, networks and volumes. TERMINAL is the kind of terminal, or - for none. The container goes when the command ends, or when
# the connection does.
set -u

root=$1
service=$2
terminal=$3
shift 3
# Where it really lies: called through bin/current, it must not take that link for its own name.
here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
for part in common settings journal compose apps; do
	. "$here/lib/$part.sh"
done
RELEASE=$(pointed "$root/current")
[ -n "$RELEASE" ] || { echo 'no release serves here' >&2 && exit 1; }
EXPECT_CURRENT=$RELEASE
read_release "$RELEASE"
run_dir=$(mktemp -d) && mkdir "$run_dir/state" || exit 1
slot=$(serving_slot)
case " $APPS $WORKERS $JOBS " in
*" $service "*) name=$service-$slot ;;
*) name=$service ;;
esac
container=$COMPOSE_PROJECT-$service-by-hand-$(token)
trap 'docker rm -f "$container" >/dev/null 2>&1; rm -rf "$run_dir"' EXIT
trap 'exit 129' HUP
trap 'exit 143' TERM
trap 'exit 130' INT
case $terminal in
-) set -- -T --name "$container" "$name" "$@" ;;
*) set -- -e "TERM=$terminal" --name "$container" "$name" "$@" ;;
esac
compose "$RELEASE" "$slot" run --rm --no-deps --quiet-pull "$@"
