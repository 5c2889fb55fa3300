# shellcheck shell=sh
# left-overs: before a dead run is undone, the one-off containers that it left
# are ended, and waited for: a migration that still runs is not raced.

left_overs_do() {
	deadline_in 60
	until left_ids=$(docker ps -aq --filter "label=estiba.run=$RUN" 9>&-); do
		! past_deadline || engine_lost || return 1
		nap 0.5
	done
	# By it the database's own sessions of theirs are known.
	for left_id in $left_ids; do address "$left_id"; done >"$run_dir/state/left-addresses"
	# shellcheck disable=SC2086 # ids
	[ -z "$left_ids" ] || docker rm -f $left_ids 9>&- >/dev/null
	# What was started in the database's container outlives the client that started it.
	if has migrating || has backing-up || has standby; then
		! database_known || { database_open && engine_end_ours; } || note 'the database sessions of this run could not be closed'
	fi
	return 0
}
