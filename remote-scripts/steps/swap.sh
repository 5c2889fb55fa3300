# shellcheck shell=sh
# swap: the restored database takes the place of the app's, by its name. The replaced one is kept. Connections are cut
# and come back.
# Deadline: 300 seconds.
# A failure: undone: the database of before is back.

swap_do() {
	database_open || return 1
	put_durably away "$(replaced_name)" || return 1
	uptime_cs
	swap_began=$uptime_cs
	engine_replace "$(standby)" "$(get away)" || fail "the restored database could not take the place of $DATABASE_NAME" || return 1
	put put-back 1
	rm -f "$run_dir/state/standby"
	uptime_cs
	tell "$DATABASE_NAME now holds backup $BACKUP_ID, swapped in $(((uptime_cs - swap_began) * 10)) ms. The old database is kept as $(get away); estiba never removes it"
}

# The change of names is one transaction. Where it has happened, the site works with the restored data already, and
# going back would lose what was written since: it stays.
swap_undo() {
	has away || return 0
	database_open && engine_unfence || return 1
	engine_exists "$(get away)"
	case $? in
	0) put put-back 1 ;;
	1) return 0 ;;
	*) fail 'the database does not say whether it was replaced' || return 1 ;;
	esac
	rm -f "$run_dir/state/standby"
	tell "$DATABASE_NAME held backup $BACKUP_ID when the run was cut off, and keeps it; the old database is kept as $(get away)"
}
