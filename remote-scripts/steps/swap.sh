# shellcheck shell=sh
# swap: the restored database takes the place of the app's, by its name. The replaced one is kept. Connections are cut
# and come back. Not a step of a deploy.

swap_do() {
	database_open || return 1
	put away "$(replaced_name)" || return 1
	uptime_cs
	swap_began=$uptime_cs
	engine_replace "$(standby)" "$(get away)" || fail "the restored database could not take the place of $DATABASE_NAME" || return 1
	put put-back 1
	rm -f "$run_dir/state/standby"
	uptime_cs
	tell "$DATABASE_NAME is backup $BACKUP_ID, changed over in $(((uptime_cs - swap_began) * 10)) ms. The replaced one is kept as $(get away); estiba never removes it"
}

# The change of names is one transaction. Where it has happened, the site works with the restored data already, and
# going back would lose what was written since: it stays.
swap_undo() {
	has away || return 0
	database_open && engine_unfence || return 1
	engine_exists "$(get away)" || return 0
	rm -f "$run_dir/state/standby"
	tell "$DATABASE_NAME had become backup $BACKUP_ID before the run was cut off, and stays; the replaced one is kept as $(get away)"
}
