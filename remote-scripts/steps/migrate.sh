# shellcheck shell=sh
# migrate: the database's schema moves forward, by the new image in a container of its own.

migrate_do() {
	[ -n "$MIGRATE" ] || { note 'no migrate command is set' && return 0; }
	one_off migrate "$MIGRATE" || fail 'the migration failed' || return 1
}

# The schema stays forward: DDL that failed has undone itself, and the old release runs on what was
# applied before it. What a release may do to the schema is said in docs/deploying.md.
migrate_undo() {
	! finished_migration || tell 'the schema stays as the migration left it; the old release goes on with it'
	return 0
}

finished_migration() {
	grep -qx 'done migrate' "$run_dir/steps" && [ -n "$MIGRATE" ]
}
