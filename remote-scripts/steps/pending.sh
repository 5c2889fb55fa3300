# shellcheck shell=sh
# pending: which migrations the new release would run, asked of its own image. Changes nothing.

pending_do() {
	[ -n "$MIGRATE" ] || { note 'no migrate command is set' && return 0; }
	[ -n "$PENDING_MIGRATIONS" ] || {
		put pending unknown
		note 'no pending-migrations command is set: there may be some'
		return 0
	}
	one_off pending "$PENDING_MIGRATIONS" >"$run_dir/state/pending.said" 2>"$run_dir/state/pending.err" || {
		cat "$run_dir/state/pending.said" "$run_dir/state/pending.err"
		fail 'the pending migrations cannot be listed'
		return 1
	}
	# Django marks what is applied by [X] and what is not by [ ]; of other commands every line counts.
	sed -n -e '/^ *\[[Xx]\]/d' -e '/^[[:space:]]*$/d' -e '/(no migrations)$/d' -e 's/^ *\[ \] *//' -e p \
		"$run_dir/state/pending.said" | write_file "$run_dir/state/pending"
	[ -s "$run_dir/state/pending" ] || { note 'no migration is pending' && return 0; }
	while IFS= read -r pending_line; do
		tell "pending migration: $pending_line"
	done <"$run_dir/state/pending"
}

pending_undo() {
	return 0
}
