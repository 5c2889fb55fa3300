# shellcheck shell=sh
# verify: a backup is what was written, and can be restored: it is, into a database of its own, and compared. With
# BACKUP_ID set.
# Deadline: 21600 seconds.
# A failure: the backup is told as one that could not be restored.

verify_do() {
	database_open && backup_whole "$BACKUP_ID" || return 1
	standby_make "$backups/$BACKUP_ID.dump" "$backups/$BACKUP_ID.counts" && standby_goes || return 1
	volumes_try_all "$BACKUP_ID" || return 1
	tell "backup $BACKUP_ID is whole: $(wc -l <"$backups/$BACKUP_ID.counts" | tr -d ' ') tables, restored and compared"
}

verify_undo() {
	standby_undo
}
