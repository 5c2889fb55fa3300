# shellcheck shell=sh
# drill: the newest backup is restored into a database of its own and compared, as if it were needed; where there is an
# off-site repository, the copy that lies there.
# Deadline: 21600 seconds.
# A failure: the last backup is told as one that could not be restored.

drill_do() {
	. "$here/steps/verify.sh"
	database_open || return 1
	drill_found=
	for drill_dump in "$backups"/*.dump; do
		[ ! -e "$drill_dump" ] || { [ -n "$OFFSITE" ] && [ ! -e "${drill_dump%.dump}.offsite" ]; } || drill_found=$drill_dump
	done
	[ -n "$drill_found" ] || fail "there is no backup yet${OFFSITE:+ in the off-site repository}: the drill has nothing to restore" || return 1
	BACKUP_ID=${drill_found##*/}
	BACKUP_ID=${BACKUP_ID%.dump}
	database_room "$(($(wc -c <"$backups/$BACKUP_ID.dump") * 3))" || return 1
	uptime_cs
	drill_began=$uptime_cs
	if [ -n "$OFFSITE" ]; then drill_recall || return 1; fi
	verify_do || return 1
	drill_undo
	uptime_cs
	tell "drill: backup $BACKUP_ID${OFFSITE:+, from the off-site repository,} was restored in $(((uptime_cs - drill_began) / 100)) s"
}

# The copy of the off-site repository takes the place of the server's own.
drill_recall() {
	offsite_open || return 1
	drill_folder=$run_dir/recalled
	mkdir -p "$drill_folder" || return 1
	restic dump --archive tar --host "$(offsite_host)" --tag "$BACKUP_ID" latest /backups 2>"$run_dir/state/restic.err" |
		tar -xf - -C "$drill_folder" || fail "backup $BACKUP_ID cannot be read from the off-site repository: $(restic_said)" || return 1
	# Versions of restic put the files at other depths.
	drill_dump=$(find "$drill_folder" -name "$BACKUP_ID.dump")
	[ -n "$drill_dump" ] || fail "backup $BACKUP_ID cannot be read from the off-site repository: $(restic_said)" || return 1
	backups=${drill_dump%/*}
}

drill_undo() {
	rm -rf "$run_dir/recalled"
	standby_undo
}
