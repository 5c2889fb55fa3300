# shellcheck shell=sh
# compare: after an undo, what serves is held against what served before: containers, answers, static files,
# the database's schema. What differs is told; what of it needs a person stands in the run's state/differs-badly.

compare_do() {
	rm -f "$run_dir/state/differs-badly"
	[ -n "$(get old-slot)" ] || return 0
	[ -e "$run_dir/state/before" ] || { tell 'the state before the run was not recorded in time, so nothing was compared with it' && return 0; }
	# What an undo needed to work with was taken from the reserve.
	! disk_is_full 98304 || { tell 'the disk is full: what serves could not be compared with what served before' && return 0; }
	picture_differs >"$run_dir/state/differs-badly" && compare_static >>"$run_dir/state/differs-badly" &&
		compare_schema >>"$run_dir/state/differs-badly" || return 1
	while IFS= read -r compare_line; do
		tell "$compare_line"
	done <"$run_dir/state/differs-badly"
}

# compare_static: where the proxy reads, each file is that of the release that serves.
compare_static() {
	has static-published || return 0
	compare_release=${EXPECT_CURRENT:-legacy}
	compare_lines=$compare_release
	[ -e "$releases/$compare_release/static" ] || compare_lines=$RELEASE
	static_each "$compare_lines" static_differs "$compare_release"
}

# compare_schema: as it was before the migration; else an undo has left it on purpose, or it is not what that undo says.
compare_schema() {
	has migrating && [ -e "$run_dir/state/schema" ] || return 0
	database_known || { echo 'the database has no container any more, so its schema could not be compared' && return 0; }
	database_wait 20 || { echo 'the database does not answer, so its schema could not be compared' && return 0; }
	! engine_schema "$DATABASE_NAME" | cmp -s - "$run_dir/state/schema" || return 0
	if has schema-stays; then
		tell 'the schema is not what it was before the migration; the release that serves is healthy on it'
	else
		echo 'the schema of the database is not what it was before the migration'
	fi
}
