# shellcheck shell=sh
# PostgreSQL 13 and later, by the programs in its own container, over its local socket: versions always match.
# The user must be a superuser, as the official image's POSTGRES_USER is.
# shellcheck disable=SC2154 # the settings come from lib/settings.sh

# postgres PROGRAM ARG…: runs it in the database's container. The password stays in there.
# shellcheck disable=SC2016 # for the shell in the container
postgres() {
	docker exec -i "$database_container" sh -c '
		PGPASSWORD=${POSTGRES_PASSWORD:-$(cat "${POSTGRES_PASSWORD_FILE:-/dev/null}")}
		PGAPPNAME=estiba
		PGOPTIONS="-c default_transaction_read_only=off -c client_min_messages=warning"
		export PGPASSWORD PGAPPNAME PGOPTIONS
		exec "$@"' sh "$@" 9>&-
}

engine_open() {
	if [ -z "$DATABASE_USER" ] || [ -z "$DATABASE_NAME" ]; then
		database_environment || return 1
		: "${DATABASE_USER:=$(environment_value POSTGRES_USER)}"
		: "${DATABASE_USER:=postgres}"
		: "${DATABASE_NAME:=$(environment_value POSTGRES_DB)}"
		: "${DATABASE_NAME:=$DATABASE_USER}"
	fi
	open_said=$(echo 'SELECT 1' | engine_sql postgres 2>&1) && [ "$open_said" = 1 ] && return 0
	fail "PostgreSQL does not answer $DATABASE_USER in $DATABASE_SERVICE: $(printf '%s\n' "$open_said" | tail -n 1)"
}

engine_sql() {
	postgres psql -X -q -A -t -v ON_ERROR_STOP=1 -v "db=$DATABASE_NAME" -v "one=${2:-}" -v "two=${3:-}" -U "$DATABASE_USER" -d "$1"
}

# What pg_dump dumps: tables with rows of their own, those of extensions left out.
postgres_count_all='SELECT format($q$SELECT %L, count(*) FROM ONLY %I.%I$q$, n.nspname || $q$.$q$ || c.relname, n.nspname, c.relname)
	FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE c.relkind = $q$r$q$ AND n.nspname NOT LIKE $q$pg\_%$q$ AND n.nspname <> $q$information_schema$q$
	AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = $q$pg_class$q$::regclass AND d.objid = c.oid AND d.deptype = $q$e$q$)
	ORDER BY n.nspname, c.relname \gexec'

engine_counts() {
	printf '%s\n' "$postgres_count_all" | engine_sql "$1"
}

engine_columns() {
	echo "SELECT table_schema || '.' || table_name || ' ' || column_name FROM information_schema.columns
		WHERE table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY 1" | engine_sql "$1"
}

engine_schema() {
	engine_sql "$1" <<-'SQL'
		SELECT table_schema, table_name, column_name, data_type, character_maximum_length, is_nullable, column_default
			FROM information_schema.columns WHERE table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2, 3;
		SELECT indexdef FROM pg_indexes WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1;
		SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace NOT IN
			(SELECT oid FROM pg_namespace WHERE nspname IN ('pg_catalog', 'information_schema')) ORDER BY 1, 2;
	SQL
}

engine_bytes() {
	echo "SELECT pg_database_size(:'one')" | engine_sql postgres "$1"
}

# One session holds a snapshot; pg_dump and the counts see that very snapshot, whatever is written meanwhile.
engine_dump() {
	dump_say=$run_dir/state/dump.say
	dump_told=$run_dir/state/dump.told
	rm -f "$dump_say" "$dump_told" && mkfifo "$dump_say" || return 1
	trap '' PIPE
	engine_sql "$DATABASE_NAME" <"$dump_say" >"$dump_told" 2>&1 &
	dump_session=$!
	exec 8>"$dump_say"
	printf '%s\n' 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;' \
		'SELECT pg_current_snapshot(); SELECT pg_current_wal_lsn(); SELECT pg_export_snapshot();' >&8
	deadline_in 30
	until [ "$(wc -l <"$dump_told")" -ge 3 ]; do
		kill -0 "$dump_session" 2>/dev/null && ! past_deadline || postgres_dump_ends "$(tail -n 1 "$dump_told")" || return 1
		nap
	done
	{ read -r dump_snapshot && read -r dump_position && read -r dump_export; } <"$dump_told"
	uptime_cs
	dump_began=$uptime_cs
	postgres pg_dump -Fc --lock-wait-timeout=60s --snapshot="$dump_export" -U "$DATABASE_USER" -d "$DATABASE_NAME" \
		>"$1" 2>"$run_dir/state/dump.err" 8>&- || {
		sed 's/^/| /' "$run_dir/state/dump.err"
		postgres_dump_ends "$(grep . "$run_dir/state/dump.err" | tail -n 1)"
		return 1
	}
	uptime_cs
	put dump-ms $(((uptime_cs - dump_began) * 10))
	printf '%s\n' "$postgres_count_all" '\echo estiba:end' >&8
	exec 8>&-
	wait "$dump_session" && [ "$(tail -n 1 "$dump_told")" = estiba:end ] || postgres_dump_ends "$(tail -n 1 "$dump_told")" || return 1
	printf '%s\n' "$dump_snapshot" >"$2"
	sed -e 1,3d -e '/^estiba:end$/d' "$dump_told" >"$3"
	put position "$dump_position"
	rm -f "$dump_say" "$dump_told"
}

postgres_dump_ends() {
	exec 8>&-
	kill "$dump_session" 2>/dev/null
	fail "the dump failed: $1"
}

engine_list() {
	postgres pg_restore --list <"$1" >/dev/null
}

# All of it or nothing, in one transaction.
engine_load() {
	exec docker exec -i "$database_container" sh -c '
		PGPASSWORD=${POSTGRES_PASSWORD:-$(cat "${POSTGRES_PASSWORD_FILE:-/dev/null}")} PGAPPNAME=estiba
		PGOPTIONS="-c client_min_messages=warning -c synchronous_commit=off"
		export PGPASSWORD PGAPPNAME PGOPTIONS
		exec pg_restore --single-transaction --exit-on-error -U "$1" -d "$2"' sh "$DATABASE_USER" "$1" 9>&-
}

engine_exists() {
	exists_said=$(echo "SELECT 1 FROM pg_database WHERE datname = :'one'" | engine_sql postgres "$1") || return 2
	[ "$exists_said" = 1 ]
}

# Named by standby() of lib/database.sh.
engine_standbys() {
	echo "SELECT datname FROM pg_database WHERE datname ~ '^estiba_[0-9]{8}t[0-9]{6}z_[a-z0-9_]*$'" | engine_sql postgres
}

# As the app's database is: encoding, locale, owner, settings, who may connect. A setting that is a list is taken over as the server
# reads it: its text is the app's, and is no statement here.
engine_create() {
	engine_sql postgres "$1" <<-'SQL' >/dev/null
		SELECT format('CREATE DATABASE %I TEMPLATE template0 ENCODING %L LC_COLLATE %L LC_CTYPE %L OWNER %I',
			:'one', pg_encoding_to_char(encoding), datcollate, datctype, pg_get_userbyid(datdba))
			FROM pg_database WHERE datname = :'db' \gexec
		SELECT format('ALTER DATABASE %I SET %I TO %L', :'one', name, value) FROM (
			SELECT split_part(setting, '=', 1) AS name, substr(setting, strpos(setting, '=') + 1) AS value
			FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase, unnest(s.setconfig) AS setting
			WHERE d.datname = :'db' AND s.setrole = 0) AS settings
			WHERE name NOT IN ('default_transaction_read_only', 'search_path', 'session_preload_libraries', 'temp_tablespaces') \gexec
		SELECT format('SELECT pg_catalog.set_config(%L, %L, false)', name, value),
			format('ALTER DATABASE %I SET %I FROM CURRENT', :'one', name), format('RESET %I', name) FROM (
			SELECT split_part(setting, '=', 1) AS name, substr(setting, strpos(setting, '=') + 1) AS value
			FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase, unnest(s.setconfig) AS setting
			WHERE d.datname = :'db' AND s.setrole = 0) AS settings
			WHERE name IN ('search_path', 'session_preload_libraries', 'temp_tablespaces') \gexec
		SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', :'one') FROM pg_database
			WHERE datname = :'db' AND datacl IS NOT NULL \gexec
		SELECT format('GRANT %s ON DATABASE %I TO %s', a.privilege_type, :'one',
			CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END)
			FROM pg_database d, aclexplode(d.datacl) a WHERE d.datname = :'db' \gexec
	SQL
}

engine_drop() {
	printf '%s\n' "SELECT format('DROP DATABASE IF EXISTS %I WITH (FORCE)', :'one') \\gexec" | engine_sql postgres "$1"
}

# From the first statement on nobody can connect to the app's database; in the last transaction it changes its name.
engine_replace() {
	# Done before, if the replaced one is there and this one is not.
	engine_exists "$1" || { engine_exists "$2" && engine_exists "$DATABASE_NAME" && return 0; }
	engine_sql postgres "$1" "$2" <<-'SQL'
		SELECT format('ALTER DATABASE %I ALLOW_CONNECTIONS false', :'db') \gexec
		SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname IN (:'db', :'one') AND pid <> pg_backend_pid() \g /dev/null
		BEGIN;
		SELECT format('ALTER DATABASE %I RENAME TO %I', :'db', :'two') \gexec
		SELECT format('ALTER DATABASE %I RENAME TO %I', :'one', :'db') \gexec
		COMMIT;
		SELECT format('ALTER DATABASE %I ALLOW_CONNECTIONS true', :'two') \gexec
		SELECT format('ALTER DATABASE %I RESET default_transaction_read_only', :'two') \gexec
	SQL
}

engine_fence() {
	printf '%s\n' "SELECT format('ALTER DATABASE %I SET default_transaction_read_only TO on', :'db') \\gexec" | engine_sql postgres &&
		postgres_renew
}

# Nothing is written where nothing is to be taken away: a full disk keeps no undo waiting.
engine_unfence() {
	engine_sql postgres <<-'SQL' && postgres_renew
		SELECT format('ALTER DATABASE %I ALLOW_CONNECTIONS true', :'db') WHERE NOT
			(SELECT datallowconn FROM pg_database WHERE datname = :'db') \gexec
		SELECT format('ALTER DATABASE %I RESET default_transaction_read_only', :'db') WHERE EXISTS
			(SELECT FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
			WHERE d.datname = :'db' AND s.setrole = 0 AND 'default_transaction_read_only=on' = ANY (s.setconfig)) \gexec
	SQL
}

# The sessions of before end, so that all that are left have the new setting. One that is idle may stand between two queries of a
# request: it ends once it has been idle for a second; after five seconds, for a tenth of one; after ten, whatever it does.
postgres_renew() {
	postgres_before=$(echo "SELECT now()" | engine_sql postgres) || return 1
	deadline_in 10
	while :; do
		if past_deadline; then
			postgres_idle=true
		elif [ $((deadline - uptime_cs)) -lt 500 ]; then
			postgres_idle="state = 'idle' AND state_change < clock_timestamp() - interval '0.1 s'"
		else
			postgres_idle="state = 'idle' AND state_change < clock_timestamp() - interval '1 s'"
		fi
		postgres_left=$(echo "SELECT count(*) FILTER (WHERE NOT ($postgres_idle) OR NOT pg_terminate_backend(pid)) FROM pg_stat_activity
			WHERE datname = :'db' AND application_name <> 'estiba' AND backend_type = 'client backend' AND backend_start < :'one'" |
			engine_sql postgres "$postgres_before") || return 1
		[ "$postgres_left" != 0 ] || return 0
		nap 0.2
	done
}

# Committed transactions that the snapshot does not show.
engine_written() {
	echo "SELECT count(*) FROM generate_series(pg_snapshot_xmin(:'one')::text::bigint,
		pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1) AS x
		WHERE NOT pg_visible_in_snapshot(x::text::xid8, :'one') AND pg_xact_status(x::text::xid8) = 'committed'" |
		engine_sql postgres "$1"
}

engine_snapshot() {
	echo 'SELECT pg_current_snapshot()' | engine_sql postgres
}

engine_end_ours() {
	echo "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name LIKE 'estiba%' AND pid <> pg_backend_pid()" |
		engine_sql postgres >/dev/null
}

engine_look_environment() {
	printf 'PGAPPNAME=estiba-look\nPGOPTIONS=-c default_transaction_read_only=on -c lock_timeout=%ss\n' "$LOCK_TIMEOUT"
}

# libpq reads PGOPTIONS in the app's container, and with it every driver that is made on it.
engine_migrate_environment() {
	printf 'PGAPPNAME=estiba-migrate\nPGOPTIONS=-c lock_timeout=%ss -c default_transaction_read_only=off\n' "$LOCK_TIMEOUT"
}

# A team's own file, in one transaction.
engine_script() {
	postgres psql -X -q -v ON_ERROR_STOP=1 --single-transaction -U "$DATABASE_USER" -d "$1" -f -
}
