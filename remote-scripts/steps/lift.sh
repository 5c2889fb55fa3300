# shellcheck shell=sh
# lift: the new release is healthy, so the database takes writes again. The edges let them through at `switch`.
# Deadline: 300 seconds.
# A failure: undone, a migration too where it must be; the release before serves all the while.

lift_do() {
	has fencing || { note 'there is no fence' && return 0; }
	# First: from here on something may be written that the standby does not have.
	put lifted 1 || return 1
	database_open && engine_unfence || fail 'the fence cannot be lifted' || return 1
	tell 'the fence is lifted'
}

# The fence's own undo lifts it, whatever state it is in.
lift_undo() {
	return 0
}
