# shellcheck shell=sh
# down: all containers of the stack stop and go, the edges too. Volumes, folders, releases and backups stay, and the next deploy makes
# the containers again. Never undone: each part of it can be done again.
# Deadline: DRAIN_TIMEOUT * apps + 600 seconds.
# A failure: finished, not undone: each part of it can be done again.

down_do() {
	serves_still || return 1
	rm -f "$state/warm"
	down_slot=$(serving_slot)
	# shellcheck disable=SC2046 # service names, none with a space
	down_first=$(running $(slot_apps "$down_slot") $(slot_workers "$down_slot")) || engine_lost || return 1
	# Before the database that they use.
	# shellcheck disable=SC2086 # ids, none with a space
	[ -z "$down_first" ] || docker stop $down_first 9>&- >/dev/null || return 1
	down_all=$(docker ps -aq --no-trunc --filter "label=com.docker.compose.project=$COMPOSE_PROJECT" 9>&-) || engine_lost || return 1
	# One that somebody runs by hand may go by itself meanwhile.
	# shellcheck disable=SC2086 # ids, none with a space
	[ -z "$down_all" ] || { docker stop $down_all 9>&- >/dev/null && docker rm $down_all 9>&- >/dev/null; }
	down_left=$(docker ps -aq --filter "label=com.docker.compose.project=$COMPOSE_PROJECT" 9>&-) || engine_lost || return 1
	[ -z "$down_left" ] || fail 'not all containers could be stopped and removed' || return 1
	tell "nothing of $COMPOSE_PROJECT runs any more; its volumes and folders are as they were, and estiba deploy starts it again"
}

down_undo() {
	fail 'the stack is partly down: run estiba down again, or estiba deploy to start it'
}
