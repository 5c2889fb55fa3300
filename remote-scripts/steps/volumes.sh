# shellcheck shell=sh
# volumes: what a backup holds of volumes and shared folders is put back: SERVICES names them, all where it is empty, and ASKED is one file
# of one, where it is not the whole. What was there is kept in the same volume, in a folder that root alone may read.
# Deadline: 21600 seconds.
# A failure: undone: each volume holds what it held.

# volumes_inside NAME PROGRAM [ARG…]: that program of inside/, in a container with the volume.
volumes_inside() {
	inside_from=$(volumes_source "$1") || return 1
	inside_program=$(cat "$here/inside/$2.sh") || return 1
	shift 2
	volumes_run "$inside_from:/volume" "$inside_program" "$@"
}

volumes_do() {
	volumes_names=${SERVICES:-$(volumes_in "$BACKUP_ID")}
	[ -n "$volumes_names" ] || fail "backup $BACKUP_ID holds no volumes" || return 1
	for volumes_one in $volumes_names; do
		volumes_whole "$BACKUP_ID" "$volumes_one" && volumes_into=$(volumes_source "$volumes_one") || return 1
		[ -n "$ASKED" ] || volumes_room "$volumes_into:/volume" "$(wc -c <"$whole_archive")" "$volumes_one" || return 1
	done
	put_durably volumes "$volumes_names" || return 1
	for volumes_one in $volumes_names; do
		volumes_inside "$volumes_one" volume-exchange "$RUN" "$ASKED" <"$backups/$BACKUP_ID.volume-$volumes_one.tar" ||
			fail "the volume $volumes_one could not be put back from backup $BACKUP_ID; tar's words are above" || return 1
	done
	put_durably put-back 1 || return 1
	volumes_finish
}

# From here on what was restored stays.
volumes_finish() {
	for volumes_one in $(get volumes); do
		volumes_inside "$volumes_one" volume-keep "$RUN" </dev/null || fail "what $volumes_one held before could not be set aside" || return 1
		tell "$volumes_one holds ${ASKED:-what backup $BACKUP_ID has of it}${ASKED:+ of backup $BACKUP_ID}. What was there is kept in its folder .estiba-replaced-$RUN; estiba never removes it"
	done
}

volumes_undo() {
	has volumes || return 0
	if has put-back; then
		volumes_finish
		return
	fi
	for volumes_one in $(get volumes); do
		volumes_inside "$volumes_one" volume-back "$RUN" </dev/null || fail "the volume $volumes_one could not be put back as it was" || return 1
	done
}
