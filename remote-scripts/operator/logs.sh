#!/bin/sh
# estiba-logs [OPTION…] [SERVICE…]: what the containers say: `docker compose logs` of this stack, with its own options.
set -u

# Called by a link in <root>/bin, or by one to that.
here=$(CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "$0")")/.." && pwd -P)
root=$(CDPATH='' cd -- "$here/../.." && pwd -P)
for part in common settings operator; do
	. "$here/lib/$part.sh"
done

operator_look
# A project in the folder where somebody stands is another one.
cd / || exit 1
unset COMPOSE_FILE COMPOSE_PROFILES COMPOSE_PROJECT_NAME COMPOSE_ENV_FILES
exec docker compose -p "$COMPOSE_PROJECT" logs -t "$@"
