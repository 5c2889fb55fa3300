# shellcheck shell=sh
# pending: which migrations the new release would run, asked of its own image. Changes nothing: the image's entry script, which
# may migrate, is passed by, and the database lets nothing be written; what was applied before is compared with what is after. Where
# that holds for them too, the static files are collected at the same time.
# Deadline: 300 seconds.
# A failure: undone; the release before serves all the while.

pending_do() {
	if [ -z "$PENDING_MIGRATIONS" ]; then
		[ -n "$MIGRATE" ] || { note 'no migrate command is set' && return 0; }
		put pending unknown
		note 'no pending-migrations command is set: there may be some'
		return 0
	fi
	: >"$run_dir/state/look-environment"
	if database_known; then
		put database-known 1
		# A database that was just made answers, stops and starts again before it is ready.
		database_wait 60 || return 1
		engine_look_environment >"$run_dir/state/look-environment"
		pending_mark >"$run_dir/state/pending.before" ||
			{ nap 2 && database_wait 60 && pending_mark >"$run_dir/state/pending.before"; } || return 1
	fi
	static_begin_early look-environment
	pending_ask
	pending_asked=$?
	static_end_early
	[ "$pending_asked" = 0 ] || return 1
	if [ -e "$run_dir/state/pending.before" ]; then
		pending_mark >"$run_dir/state/pending.after" || return 1
		cmp -s "$run_dir/state/pending.before" "$run_dir/state/pending.after" || {
			diff "$run_dir/state/pending.before" "$run_dir/state/pending.after" | sed -n 's/^[<>]/|&/p'
			fail 'the command that lists pending migrations changed the database, and no backup was made: the changes are above. Set [app] pending-migrations to one that only lists'
			return 1
		}
	fi
	[ -s "$run_dir/state/pending" ] || { note 'no migration is pending' && return 0; }
	while IFS= read -r pending_line; do
		tell "pending migration: $pending_line"
	done <"$run_dir/state/pending"
	[ -n "$MIGRATE" ] || tell 'no migrate command is set: the image has to migrate when it starts'
}

# pending_mark: what a migration leaves: the framework's own list, or else the schema.
pending_mark() {
	pending_applied=$(migrations_applied) || return 1
	if [ -n "$pending_applied" ]; then printf '%s\n' "$pending_applied"; else engine_schema "$DATABASE_NAME"; fi
}

# pending_ask: past the entry script; with it only where the command needs what it sets up, and where the database refuses every
# write.
pending_ask() {
	one_off_past_entry=1
	one_off pending "$PENDING_MIGRATIONS" look-environment >"$run_dir/state/pending.said" 2>"$run_dir/state/pending.err"
	pending_status=$?
	# A pooler may refuse the setting that makes the session read-only.
	if [ "$pending_status" != 0 ] && [ -s "$run_dir/state/look-environment" ]; then
		one_off pending "$PENDING_MIGRATIONS" >"$run_dir/state/pending.said" 2>>"$run_dir/state/pending.err"
		pending_status=$?
	fi
	one_off_past_entry=
	if [ "$pending_status" != 0 ] && [ -s "$run_dir/state/look-environment" ]; then
		one_off pending "$PENDING_MIGRATIONS" look-environment >"$run_dir/state/pending.said" 2>>"$run_dir/state/pending.err"
		pending_status=$?
	elif [ "$pending_status" != 0 ]; then
		cat "$run_dir/state/pending.err"
		put pending unknown
		tell "the pending migrations cannot be listed without the image's entry script, which might migrate: there may be some"
		return 0
	fi
	[ "$pending_status" = 0 ] || {
		cat "$run_dir/state/pending.said" "$run_dir/state/pending.err"
		fail 'the pending migrations cannot be listed'
		return 1
	}
	# Django marks what is not applied by [ ]; of other commands every line counts that does not begin with [X].
	case $PENDING_MIGRATIONS in
	*showmigrations*) sed -n 's/^ *\[ \] *//p' "$run_dir/state/pending.said" ;;
	*) sed -n -e '/^ *\[[Xx]\]/d' -e '/^[[:space:]]*$/d' -e 's/^ *\[ \] *//' -e p "$run_dir/state/pending.said" ;;
	esac | write_file "$run_dir/state/pending"
}

# The static files may have been collected beside.
pending_undo() {
	static_unmake
}
