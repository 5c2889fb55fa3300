#!/bin/sh
# logs.sh PROJECT look|follow TAIL SINCE UNTIL: what the containers of that project have said, of all slots: lines of container, |, time and
# text; with `look` in the order of time, with `follow` as they come, those of containers that are made meanwhile too. TAIL (lines of each
# container), SINCE and UNTIL may be empty. Changes nothing.
project=$1
way=$2
# A project in the user's own folder is another one.
cd / || exit 1
unset COMPOSE_FILE COMPOSE_PROFILES COMPOSE_PROJECT_NAME COMPOSE_ENV_FILES
set -- ${3:+--tail="$3"} ${4:+--since="$4"} ${5:+--until="$5"}
echo "estiba:logs $(date -u +%Y-%m-%dT%H:%M:%S.000000000Z)"
case $way in
follow) exec docker compose -p "$project" logs -t --no-color -f "$@" ;;
*)
	# The status of the first of the two is the one that counts.
	exec 3>&1
	status=$({ { docker compose -p "$project" logs -t --no-color "$@" && echo 0 >&4 || echo "$?" >&4; } | LC_ALL=C sort -s -b -k 3,3 >&3; } 4>&1)
	exit "$status"
	;;
esac
