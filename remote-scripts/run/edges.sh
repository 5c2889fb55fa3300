#!/bin/sh
# edges.sh ROOT [DRIVER]: after the machine or the Engine has started, or an edge has died, an edge may have another address than
# the proxies in front looked up: then they look again. Changes nothing else, and needs no lock. Called by recover.sh; and by
# a run's driver, for as long as that process lives and until each edge runs after it: what the run starts may take an address
# that an edge had.
set -u

root=$1
driver=${2:-}
here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
run_dir=$(mktemp -d) || exit 1
trap 'rm -rf "$run_dir"' EXIT
mkdir "$run_dir/state"
RUN=none
step=edges
for part in common settings journal compose edge apps proxies; do
	. "$here/lib/$part.sh"
done
RELEASE=$(pointed "$root/current")
[ -e "$releases/${RELEASE:-none}/apps" ] || exit 0
read_release "$RELEASE"
if [ -n "$driver" ]; then
	# The Engine tells of each start, also of those while it was looked. Where it went away itself, a look does as well.
	while :; do
		looked_at=$(date +%s)
		proxies_follow
		docker events --since "$looked_at" --filter type=container --filter event=start --filter 'label=estiba.edge' \
			--filter "label=com.docker.compose.project=$COMPOSE_PROJECT" --format '{{.ID}}' 2>/dev/null | while IFS= read -r _; do proxies_follow; done
		nap 1
	done &
	while kill -0 "$driver" 2>/dev/null; do nap 1; done
	# What goes on above keeps its own notes.
	watched=$run_dir
	run_dir=$(mktemp -d) || kill -KILL 0
	mkdir "$run_dir/state"
fi
# The Engine answers before all containers are up again, and an edge that died at the end of a run comes up after it.
deadline_in 60
until edges_run || past_deadline; do nap 0.5; done
proxies_follow
[ -n "$driver" ] || exit 0
rm -rf "$run_dir" "$watched"
# With all that it started, in the session that is its own.
kill -KILL 0
