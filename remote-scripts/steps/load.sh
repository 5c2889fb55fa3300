# shellcheck shell=sh
# load: a backup is restored into a new database, compared, and masked where a masking file was sent. The site goes on
# with its own database meanwhile.
# Deadline: 21600 seconds.
# A failure: undone; the database of before serves all the while.

load_do() {
	database_open && backup_whole "$BACKUP_ID" || return 1
	database_room "$(($(wc -c <"$backups/$BACKUP_ID.dump") * 3))" || return 1
	standby_make "$backups/$BACKUP_ID.dump" "$backups/$BACKUP_ID.counts" || return 1
	tell "backup $BACKUP_ID is restored beside the database and compared"
	[ -e "$run_dir/mask.sql" ] || return 0
	engine_script "$(standby)" <"$run_dir/mask.sql" || fail 'the masking file failed; its error is above' || return 1
	tell 'the masking file was applied'
}

load_undo() {
	standby_undo
}
