#!/bin/sh
# estiba-status: what runs here, since when and by whom, and the containers.
set -u

# Called by a link in <root>/bin, or by one to that.
here=$(CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "$0")")/.." && pwd -P)
root=$(CDPATH='' cd -- "$here/../.." && pwd -P)
for part in common settings lock warm operator; do
	. "$here/lib/$part.sh"
done

operator_look
slot=none
for try in blue green; do [ "$(pointed "$root/slots/$try")" != "$current" ] || slot=$try; done
printf '%-9s %s\n' release "$current" slot "$slot" image "$(cat "$releases/$current/image")" since "$(cat "$state/since" 2>/dev/null)" \
	by "$(cat "$state/by" 2>/dev/null)" previous "$(pointed "$root/previous")"
if lock_is_held; then printf '%-9s %s\n' running "$(lock_holder)"; else printf '%-9s %s\n' running 'no deploy'; fi
! warm_read || printf '%-9s %s until %s\n' warm "$warm_release" "$(date -u -d "@$warm_until" +%Y-%m-%dT%H:%M:%SZ)"
[ ! -e "$state/maintenance" ] || printf '%-9s for maintenance since %s\n' closed "$(cat "$state/maintenance")"
[ ! -s "$state/unfinished" ] || printf '%-9s %s\n' unfinished "$(cat "$state/unfinished")"
docker ps -a --filter "label=com.docker.compose.project=$COMPOSE_PROJECT" \
	--format 'table {{.Label "com.docker.compose.service"}}\t{{.State}}\t{{.Status}}\t{{.Label "estiba.release"}}'
