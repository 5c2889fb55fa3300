# shellcheck shell=sh
# migrate: the database's schema moves forward, by the new image in a container of its own, which gives up a lock that
# it does not get within lock-timeout, so that it does not stand in the way of the site's own requests.
# Deadline: MIGRATE_TIMEOUT seconds.
# A failure: undone, the data as [database] restore says; the release before serves all the while.

migrate_do() {
	if [ -z "$MIGRATE" ] && ! migrations_are_pending; then
		note 'no migrate command is set'
		return 0
	fi
	if has pending && ! migrations_are_pending && [ "$MIGRATE_ALWAYS" != 1 ]; then
		note 'no migration is pending'
		return 0
	fi
	if database_known; then
		database_open || return 1
		put migrate-environment "$(engine_migrate_environment)"
		put migrate-snapshot "$(engine_snapshot)" || return 1
		engine_schema "$DATABASE_NAME" >"$run_dir/state/schema" || return 1
		engine_columns "$DATABASE_NAME" | sort >"$run_dir/state/columns" && migrations_applied >"$run_dir/state/applied" || return 1
	fi
	put_durably migrating 1 || return 1
	[ -n "$MIGRATE" ] || { note 'the image migrates when it starts' && return 0; }
	one_off_service=$MIGRATE_SERVICE
	one_off migrate "$MIGRATE" migrate-environment || fail "the migration failed$(migrate_why)" || return 1
}

# The line that tells why, where the migration's own words hold one.
migrate_why() {
	migrate_said=$(grep -a "	out	migrate	" "$run_dir/journal" | tail -n 20 | grep -ai 'lock timeout\|error' | tail -n 1 | cut -f 4)
	[ -z "$migrate_said" ] || printf ': %s' "$migrate_said"
}

# What happens to the data, in this order: nothing, where the migration wrote nothing. Under the fence nobody else has
# written either, so the copy that stands by takes the database's place. Without it: nothing, where the old release is
# healthy on the schema as it is now; reverse migrations, where each has one that loses nothing; the copy, only where
# the settings accept that what was written since is lost. Else a person chooses.
migrate_undo() {
	has migrating || return 0
	# One that answered before and has no container now is waited for.
	if [ -z "$(get old-slot)" ] || { ! has migrate-snapshot && ! database_known; }; then
		tell 'the schema stays as the migration left it'
		return 0
	fi
	database_wait || return 1
	! has put-back || return 0
	migrate_wrote=$(engine_written "$(get migrate-snapshot)") || fail 'the database cannot tell whether the migration wrote anything' || return 1
	[ "$migrate_wrote" != 0 ] || { note 'the migration wrote nothing' && return 0; }
	if has fenced && ! has fence-leaks && ! has lifted && has standby; then
		migrate_put_back 'nobody wrote since the backup'
		return
	fi
	if migrate_old_is_healthy; then
		put schema-stays 1
		tell 'the schema stays as the migration left it: the old release is healthy on it'
	elif migrate_schema_is_as_before; then
		tell 'the old release is not healthy, but no migration was applied and the schema is unchanged: look for another cause'
	elif migrate_reverse && migrate_old_is_healthy; then
		put schema-stays 1
		tell 'the migrations were reversed, and the old release is healthy again'
	elif has standby && [ "$RESTORE" = on-critical-failure ]; then
		migrate_put_back "restore is on-critical-failure. $(migrate_since)"
	else
		migrate_person
	fi
}

# Where the framework keeps a record of its migrations, and neither that nor anything of the schema is another.
migrate_schema_is_as_before() {
	[ -s "$run_dir/state/applied" ] && migrations_applied | cmp -s - "$run_dir/state/applied" &&
		engine_schema "$DATABASE_NAME" | cmp -s - "$run_dir/state/schema"
}

migrate_put_back() {
	put_durably away "$(has away && get away || replaced_name)" || return 1
	engine_replace "$(standby)" "$(get away)" || {
		engine_unfence
		fail "the backup's copy $(standby) could not take the place of $DATABASE_NAME"
		return 1
	}
	put put-back 1
	rm -f "$run_dir/state/standby"
	tell "the database is as it was before the migration: $1. The replaced one is kept as $(get away)"
}

migrate_since() {
	printf 'Transactions since the backup, including those of the migration and backup: %s' "$(engine_written "$(get snapshot)")"
}

# Three good answers in a row from each container of the old release, within its own health's time and 15 s at least, and none of
# the server's errors at `/` where there was none before. What its health is, it says itself; a release from before edges, or a stack
# from before estiba, is asked as the new one would be.
migrate_old_is_healthy() {
	healthy_release=$EXPECT_CURRENT
	[ -e "$releases/${healthy_release:-none}/apps" ] || healthy_release=$RELEASE
	healthy_seconds=15
	! is_number "$HEALTH_TIMEOUT" || [ "$HEALTH_TIMEOUT" -le 15 ] || healthy_seconds=$HEALTH_TIMEOUT
	deadline_in "$healthy_seconds"
	healthy_count=0
	healthy_front=
	while [ "$healthy_count" -lt 3 ]; do
		if past_deadline; then
			[ -z "$healthy_front" ] || tell "on the migrated schema $healthy_front"
			return 1
		fi
		healthy_count=$((healthy_count + 1))
		for healthy_app in $(apps_of "$healthy_release"); do
			app_answers "$healthy_release" "$healthy_app" "$(get old-slot)" || healthy_count=0
			picture_front_holds "$healthy_app" || { healthy_count=0 && healthy_front=$front_said; }
		done
		nap 0.5
	done
}

# migrate_reverse: back to the set of migrations that was applied before, by the new image, which knows the way. Only
# where no column or table is gone: a reverse migration would make it again, empty.
migrate_reverse() {
	[ -n "$REVERSE_MIGRATION" ] && [ -s "$run_dir/state/applied" ] && ! has reversing || return 1
	put reversing 1
	migrate_gone=$(engine_columns "$DATABASE_NAME" | sort | comm -13 - "$run_dir/state/columns")
	migrations_applied >"$run_dir/state/applied.now" || return 1
	migrate_apps=$(grep -vxF -f "$run_dir/state/applied" "$run_dir/state/applied.now" | cut -d ' ' -f 1 | sort -u)
	[ -n "$migrate_apps" ] || return 1
	# These names come out of the database, where the app wrote them: they are words of a command only where they are names.
	for migrate_app in $migrate_apps; do
		is_word "$migrate_app" && is_word "$(migrate_last "$migrate_app")" ||
			{ tell "the migrations are not reversed: $migrate_app is not a plain name of an app and a migration" && return 1; } || return 1
	done
	for migrate_app in $migrate_apps; do
		migrate_command=$(migrate_back "$migrate_app")
		migrate_plan=$(one_off "plan-$migrate_app" "$migrate_command '--plan'" migrate-environment 2>&1) || return 1
		printf '%s\n' "$migrate_plan"
		case $migrate_plan in
		*IRREVERSIBLE*) tell "the migrations of $migrate_app have no reverse" && return 1 ;;
		*'Undo Remove field'* | *'Undo Delete model'*) tell "the migrations of $migrate_app took data away, which their reverse does not bring back" && return 1 ;;
		*'Raw SQL'* | *'Raw Python'* | *'Custom '*)
			[ -z "$migrate_gone" ] || { tell "the migrations of $migrate_app took data away, which their reverse does not bring back" && return 1; } || return 1
			;;
		esac
	done
	for migrate_app in $migrate_apps; do
		migrate_command=$(migrate_back "$migrate_app")
		one_off "reverse-$migrate_app" "$migrate_command" migrate-environment || return 1
	done
	migrations_applied | cmp -s - "$run_dir/state/applied"
}

# migrate_last APP: the last migration of that app that was applied before.
migrate_last() {
	migrate_to=$(awk -v app="$1" '$1 == app { last = substr($0, length(app) + 2) } END { print last }' "$run_dir/state/applied")
	printf '%s\n' "${migrate_to:-zero}"
}

# migrate_back APP: the words that reverse that app's migrations; both names have been looked at.
migrate_back() {
	printf '%s' "$REVERSE_MIGRATION" | sed "s/{app}/$1/; s/{migration}/$(migrate_last "$1")/"
}

# Nothing that is left to do is without loss: a person says which.
migrate_person() {
	tell "the old release is not healthy on the migrated schema, and every way back loses data"
	if has backup; then
		tell "$(migrate_since)"
		tell "either: estiba backup restore $(get backup)    puts the data back as it was; later writes stay only in the replaced database"
	else
		tell 'either: estiba backup restore BACKUP    puts the data back as it was then; estiba backup list has them'
	fi
	tell 'or:     estiba deploy    with a release that works on the schema as it is now'
	! disk_is_full 16384 ||
		tell "the disk under $root is full, which may be why the old release is not healthy: make room first, and look again"
	fail 'the old release is not healthy on the migrated schema, and every way back loses data: choose one of those above'
}
