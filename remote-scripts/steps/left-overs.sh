# shellcheck shell=sh
# left-overs: not a step of a deploy. Before a dead run is undone, the one-off containers that it left
# are ended, and waited for: a migration that still runs is not raced.

left_overs_do() {
	left_ids=$(docker ps -aq --filter "label=estiba.run=$RUN" 9>&-)
	# shellcheck disable=SC2086 # ids
	[ -z "$left_ids" ] || docker rm -f $left_ids 9>&- >/dev/null
}
