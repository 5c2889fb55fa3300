# shellcheck shell=sh
# verify: a backup is what was written, and can be restored: it is, into a database of its own, and compared. With
# BACKUP_ID set; not a step of a deploy.

verify_do() {
	database_open && backup_whole "$BACKUP_ID" || return 1
	put standby "$(standby)" || return 1
	engine_drop "$(standby)" && engine_create "$(standby)" || fail 'no database can be made to try the backup in' || return 1
	database_load "$backups/$BACKUP_ID.dump" "$(standby)" && database_compare "$backups/$BACKUP_ID.counts" "$(standby)" || return 1
	backup_standby_goes || return 1
	tell "backup $BACKUP_ID is whole: $(wc -l <"$backups/$BACKUP_ID.counts" | tr -d ' ') tables, restored and compared"
}

verify_undo() {
	has standby || return 0
	database_open && backup_standby_goes
}
