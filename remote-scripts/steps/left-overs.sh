# shellcheck shell=sh
# left-overs: not a step of a deploy. Before a dead run is undone, the one-off containers that it left
# are ended, and waited for: a migration that still runs is not raced.

left_overs_do() {
	left_ids=$(docker ps -aq --filter "label=estiba.run=$RUN" 9>&-)
	# shellcheck disable=SC2086 # ids
	[ -z "$left_ids" ] || docker rm -f $left_ids 9>&- >/dev/null
	# What was started in the database's container outlives the client that started it.
	if has migrating || has backing-up || has standby; then
		! database_known || { database_open && engine_end_ours; } || note 'what this run left working in the database could not be ended'
	fi
	return 0
}
