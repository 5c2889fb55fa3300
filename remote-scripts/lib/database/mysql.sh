# shellcheck shell=sh
# MariaDB 10.6 and later, and MySQL 8, by the programs in their own container, over its local socket. The user must be
# one who may make databases, as root is, whose password the official images have in their environment.
#
# Otherwise than with PostgreSQL:
# - a dump is SQL, compressed, a row a statement; its row counts are counted in it;
# - no fence for writes that leaves the migration itself through: the edge alone refuses requests, so nothing proves
#   that nobody wrote;
# - nothing outside the app's own driver sets a time-out for a migration's locks: migrate-timeout bounds it;
# - databases cannot be renamed: their tables are, all in one statement. Triggers, views and routines cannot follow.
# shellcheck disable=SC2154 # the settings come from lib/settings.sh

# mysql_program SUFFIX ARG…: `mariadb` or `mysql`, with that suffix, in the database's container. The password stays
# in there.
# shellcheck disable=SC2016 # for the shell in the container
mysql_program() {
	docker exec -i "$database_container" sh -c '
		MYSQL_PWD=${MARIADB_ROOT_PASSWORD:-${MYSQL_ROOT_PASSWORD:-$(cat "${MARIADB_ROOT_PASSWORD_FILE:-${MYSQL_ROOT_PASSWORD_FILE:-/dev/null}}")}}
		export MYSQL_PWD
		case $1 in
		client) program=$(command -v mariadb || command -v mysql) ;;
		dump) program=$(command -v mariadb-dump || command -v mysqldump) ;;
		esac
		shift
		! "$program" --help 2>/dev/null | grep -q set-gtid-purged || set -- --set-gtid-purged=OFF "$@"
		exec "$program" --no-defaults --default-character-set=utf8mb4 "$@"' sh "$@" 9>&-
}

engine_open() {
	: "${DATABASE_USER:=root}"
	if [ -z "$DATABASE_NAME" ]; then
		database_environment || return 1
		: "${DATABASE_NAME:=$(environment_value MARIADB_DATABASE)}"
		: "${DATABASE_NAME:=$(environment_value MYSQL_DATABASE)}"
	fi
	[ -n "$DATABASE_NAME" ] || fail "[database] name is not set, and $DATABASE_SERVICE has no MARIADB_DATABASE" || return 1
	open_said=$(echo 'SELECT 1' | engine_sql "$DATABASE_NAME" 2>&1) && [ "$open_said" = 1 ] && return 0
	fail "the database does not answer $DATABASE_USER in $DATABASE_SERVICE: $(printf '%s\n' "$open_said" | tail -n 1)"
}

engine_sql() {
	mysql_program client --batch --skip-column-names --raw --user "$DATABASE_USER" "$1"
}

# mysql_name NAME: quoted for SQL.
mysql_name() {
	printf '`%s`' "$(printf '%s' "$1" | sed 's/`/``/g')"
}

# mysql_text TEXT: a string of SQL.
mysql_text() {
	printf "'%s'" "$(printf '%s' "$1" | sed 's/\\/&&/g' | sed "s/'/''/g")"
}

mysql_tables() {
	echo "SELECT table_name FROM information_schema.tables WHERE table_schema = $(mysql_text "$1") AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') ORDER BY 1" |
		engine_sql information_schema
}

engine_counts() {
	counts_asked=$(mysql_tables "$1" | while IFS= read -r counts_table; do
		printf 'SELECT %s, COUNT(*) FROM %s;\n' "$(mysql_text "$counts_table")" "$(mysql_name "$counts_table")"
	done)
	printf '%s\n' "$counts_asked" | engine_sql "$1" | tr '\t' '|' | LC_ALL=C sort
}

engine_columns() {
	echo "SELECT CONCAT(table_name, ' ', column_name) FROM information_schema.columns WHERE table_schema = DATABASE() ORDER BY 1" |
		engine_sql "$1"
}

engine_schema() {
	echo "SELECT table_name, column_name, column_type, is_nullable, column_default, extra FROM information_schema.columns
			WHERE table_schema = DATABASE() ORDER BY 1, 2;
		SELECT table_name, index_name, seq_in_index, column_name, non_unique FROM information_schema.statistics
			WHERE table_schema = DATABASE() ORDER BY 1, 2, 3;
		SELECT table_name, constraint_name, constraint_type FROM information_schema.table_constraints
			WHERE table_schema = DATABASE() ORDER BY 1, 2;" | engine_sql "$1"
}

engine_bytes() {
	echo "SELECT COALESCE(SUM(data_length + index_length), 0) FROM information_schema.tables WHERE table_schema = $(mysql_text "$1")" |
		engine_sql information_schema
}

# All tables as they were at one moment: InnoDB's.
engine_dump() {
	rm -f "$run_dir/state/dump.failed"
	engine_snapshot >"$2" || fail 'the dump failed: the server does not tell what was written' || return 1
	uptime_cs
	dump_began=$uptime_cs
	if {
		mysql_program dump --single-transaction --quick --routines --triggers --events --hex-blob --no-tablespaces \
			--skip-extended-insert --no-autocommit --skip-dump-date --user "$DATABASE_USER" "$DATABASE_NAME" \
			2>"$run_dir/state/dump.err" || : >"$run_dir/state/dump.failed"
	} | gzip -1 >"$1" && [ ! -e "$run_dir/state/dump.failed" ]; then
		:
	else
		sed 's/^/| /' "$run_dir/state/dump.err"
		fail "the dump failed: $(grep . "$run_dir/state/dump.err" | tail -n 1)"
		return 1
	fi
	uptime_cs
	put dump-ms $(((uptime_cs - dump_began) * 10))
	gzip -dc <"$1" | awk '
		/^DELIMITER ;;/ { code = 1 }
		/^DELIMITER ;$/ { code = 0 }
		code { next }
		/^CREATE TABLE `/ { name = $0; sub(/^CREATE TABLE `/, "", name); sub(/` \($/, "", name); rows[name] += 0 }
		/^INSERT INTO `/ { name = $0; sub(/^INSERT INTO `/, "", name); sub(/`.*/, "", name); rows[name]++ }
		END { for (name in rows) print name "|" rows[name] }' | LC_ALL=C sort >"$3" || return 1
	put position "$(cat "$2")"
}

engine_list() {
	gzip -t <"$1" 2>/dev/null && gzip -dc <"$1" | tail -n 1 | grep -q '^-- Dump completed'
}

# What cannot be unpacked to its end is no SQL either.
engine_load() {
	{ gzip -dc || echo 'the dump is cut;'; } | mysql_program client --user "$DATABASE_USER" "$1"
}

# With a table at least: an empty one is what a change over that was cut off has made.
engine_exists() {
	exists_said=$(mysql_tables "$1") || return 2
	[ -n "$exists_said" ]
}

# Named by standby() of lib/database.sh.
engine_standbys() {
	echo "SELECT schema_name FROM information_schema.schemata WHERE schema_name REGEXP '^estiba_[0-9]{8}t[0-9]{6}z_[a-z0-9_]*$'" |
		engine_sql information_schema
}

engine_create() {
	create_like=$(echo "SELECT CONCAT('CHARACTER SET ', default_character_set_name, ' COLLATE ', default_collation_name)
		FROM information_schema.schemata WHERE schema_name = $(mysql_text "$DATABASE_NAME")" | engine_sql information_schema) || return 1
	printf 'CREATE DATABASE IF NOT EXISTS %s %s;\n' "$(mysql_name "$1")" "$create_like" | engine_sql information_schema
}

engine_drop() {
	printf 'DROP DATABASE IF EXISTS %s;\n' "$(mysql_name "$1")" | engine_sql information_schema
}

# All tables change their places in one statement, which the server does wholly or not at all. Grants are the name's,
# so the app keeps its own.
engine_replace() {
	mysql_tables "$DATABASE_NAME" >"$run_dir/state/tables.old" && mysql_tables "$1" >"$run_dir/state/tables.new" &&
		mysql_tables "$2" >"$run_dir/state/tables.away" || return 1
	if [ ! -s "$run_dir/state/tables.new" ]; then
		[ -s "$run_dir/state/tables.away" ] || fail "the restored database $1 has no tables" || return 1
		engine_drop "$1"
		return
	fi
	replace_more=$(echo "SELECT (SELECT COUNT(*) FROM information_schema.triggers WHERE trigger_schema = $(mysql_text "$DATABASE_NAME"))
		+ (SELECT COUNT(*) FROM information_schema.views WHERE table_schema = $(mysql_text "$DATABASE_NAME"))
		+ (SELECT COUNT(*) FROM information_schema.routines WHERE routine_schema = $(mysql_text "$DATABASE_NAME"))" | engine_sql information_schema) || return 1
	[ "$replace_more" = 0 ] ||
		fail "$DATABASE_NAME has triggers, views or routines, which cannot follow its tables: nothing was changed over" || return 1
	engine_create "$2" || return 1
	{
		# A transaction that stays open must not queue the whole site behind this.
		printf 'SET lock_wait_timeout = 20;\nRENAME TABLE '
		{
			mysql_moves "$DATABASE_NAME" "$2" <"$run_dir/state/tables.old"
			mysql_moves "$1" "$DATABASE_NAME" <"$run_dir/state/tables.new"
		} | paste -sd , -
		printf ';\n'
	} >"$run_dir/state/replace.sql"
	engine_sql information_schema <"$run_dir/state/replace.sql" && engine_drop "$1"
}

# mysql_moves FROM TO: for RENAME TABLE, of the tables on standard input, a line each.
mysql_moves() {
	while IFS= read -r move_table; do
		printf '%s.%s TO %s.%s\n' "$(mysql_name "$1")" "$(mysql_name "$move_table")" "$(mysql_name "$2")" "$(mysql_name "$move_table")"
	done
}

engine_fence() {
	put fence-leaks 1
}

engine_unfence() {
	return 0
}

# The statements that may have written, by the server's own counters, and when it was started.
engine_snapshot() {
	snapshot_told=$(echo "SHOW GLOBAL STATUS WHERE Variable_name IN ('Com_insert', 'Com_insert_select', 'Com_update', 'Com_update_multi',
		'Com_delete', 'Com_delete_multi', 'Com_replace', 'Com_replace_select', 'Com_load', 'Com_truncate', 'Com_alter_table',
		'Com_create_table', 'Com_drop_table', 'Com_rename_table', 'Com_create_index', 'Com_drop_index', 'Uptime');
		SELECT UNIX_TIMESTAMP();" | engine_sql information_schema) || return 1
	printf '%s\n' "$snapshot_told" |
		awk '$1 == "Uptime" { up = $2; next } NF == 2 { count += $2; next } { now = $1 } END { printf "%.0f %.0f\n", (now - up) / 5, count }'
}

# After a restart the counters say nothing: one at least, then.
engine_written() {
	written_now=$(engine_snapshot) || return 1
	written_then=$1
	is_number "${written_now% *}${written_now#* }${written_then% *}${written_then#* }" || return 1
	written_apart=$((${written_now% *} - ${written_then% *}))
	case $written_apart in
	-1 | 0 | 1) echo $((${written_now#* } - ${written_then#* })) ;;
	*) echo 1 ;;
	esac
}

# Dumps and loads of ours, changes over, and what the one-off containers of the run had the server do.
engine_end_ours() {
	end_hosts=$(sed "s/.*/ OR host LIKE '&:%'/" "$run_dir/state/left-addresses" 2>/dev/null | tr -d '\n')
	for end_id in $(echo "SELECT id FROM information_schema.processlist WHERE id <> CONNECTION_ID()
		AND (db LIKE 'estiba\\_%' OR info LIKE 'RENAME TABLE%estiba\\_%' OR (db = $(mysql_text "$DATABASE_NAME") AND info LIKE '%SQL_NO_CACHE%')$end_hosts)" |
		engine_sql information_schema); do
		is_number "$end_id" || continue
		# It may have ended by itself.
		echo "KILL $end_id" | engine_sql information_schema 2>/dev/null
	done
	return 0
}

# Nothing outside the app's own driver makes its session read-only.
engine_look_environment() {
	return 0
}

engine_migrate_environment() {
	return 0
}

# Statements that the server commits by themselves, as those that change tables, stay done when a later one fails.
engine_script() {
	script_end=$({
		echo 'START TRANSACTION;'
		cat
		printf "\nCOMMIT;\nSELECT 'estiba:end';\n"
	} | engine_sql "$1" | tail -n 1)
	# A quote or a comment that is left open would take the COMMIT with it.
	[ "$script_end" = estiba:end ]
}
