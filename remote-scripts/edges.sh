#!/bin/sh
# edges.sh ROOT [DRIVER]: after the machine or the Engine has started, or an edge has died, an edge may have another address than
# the proxies in front looked up: then they look again. Changes nothing else, and needs no lock. Called by recover.sh; and by
# a run's driver, for as long as that process lives: what the run starts may take an address that an edge had.
set -u

root=$1
driver=${2:-}
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
run_dir=$(mktemp -d) || exit 1
trap 'rm -rf "$run_dir"' EXIT
mkdir "$run_dir/state"
RUN=none
step=edges
for part in common journal compose edge apps proxies; do
	. "$here/lib/$part.sh"
done
RELEASE=$(pointed "$root/current")
[ -e "$releases/${RELEASE:-none}/apps" ] || exit 0
. "$releases/$RELEASE/settings.env"
if [ -n "$driver" ]; then
	# The Engine tells of each start. Where it went away itself, or a start was missed, a look does as well.
	while :; do
		proxies_follow
		docker events --filter type=container --filter event=start --filter 'label=estiba.edge' \
			--filter "label=com.docker.compose.project=$COMPOSE_PROJECT" --format '{{.ID}}' 2>/dev/null | while IFS= read -r _; do proxies_follow; done
		nap 1
	done &
	while kill -0 "$driver" 2>/dev/null; do nap 1; done
	rm -rf "$run_dir"
	# With all that it started, in the session that is its own.
	kill -KILL 0
fi
# The Engine answers before all containers are up again.
deadline_in 60
for edges_app in $APPS; do
	until [ -n "$(edge_container "$edges_app")" ]; do
		! past_deadline || break
		nap 0.5
	done
done
proxies_follow
