# shellcheck shell=sh
# offsite: the backup that was just made goes into the off-site repository too, which keeps as many as the server
# does. No deploy waits for a slow line.
# Deadline: 21600 seconds.
# A failure: the backup on the server stays, and is told as one that has no copy.

offsite_do() {
	offsite_id=$(get backup)
	[ -n "$OFFSITE" ] && [ -n "$offsite_id" ] || return 0
	offsite_open || return 1
	set --
	for offsite_part in dump dump.sha256 counts json rdb volumes; do
		[ ! -e "$backups/$offsite_id.$offsite_part" ] || set -- "$@" "/backups/$offsite_id.$offsite_part"
	done
	for offsite_volume in $(volumes_in "$offsite_id"); do set -- "$@" "/backups/$offsite_id.volume-$offsite_volume.tar"; done
	restic backup --quiet --host "$(offsite_host)" --tag "$offsite_id" "$@" 2>"$run_dir/state/restic.err" ||
		fail "backup $offsite_id was not copied to the off-site repository: $(restic_said)" || return 1
	utc_now | write_file "$backups/$offsite_id.offsite" && offsite_known
	tell "backup $offsite_id is in the off-site repository too"
	set -- --keep-last "$KEEP_BACKUPS"
	[ "$KEEP_DAILY" = 0 ] || set -- "$@" --keep-daily "$KEEP_DAILY"
	[ "$KEEP_WEEKLY" = 0 ] || set -- "$@" --keep-weekly "$KEEP_WEEKLY"
	[ "$KEEP_MONTHLY" = 0 ] || set -- "$@" --keep-monthly "$KEEP_MONTHLY"
	restic forget --quiet --host "$(offsite_host)" --group-by host --prune "$@" 2>"$run_dir/state/restic.err" ||
		fail "old backups could not be taken out of the off-site repository: $(restic_said)"
}

# What restic has sent and not named is taken by the next `forget --prune`, its lock by the next `restic unlock`.
offsite_undo() {
	return 0
}
