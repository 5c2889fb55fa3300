#!/bin/sh
# The official image's start-up in short: make the cluster, user and database once, then run the server.
set -eu

[ "${1:-}" = postgres ] || exec "$@"

if [ "$(id -u)" = 0 ]; then
	mkdir -p "$PGDATA"
	chown -R postgres:postgres "$PGDATA"
	chmod 0700 "$PGDATA"
	exec setpriv --reuid=postgres --regid=postgres --init-groups sh "$0" "$@"
fi

user=${POSTGRES_USER:-postgres}
database=${POSTGRES_DB:-$user}

if [ ! -s "$PGDATA/PG_VERSION" ]; then
	: "${POSTGRES_PASSWORD:?POSTGRES_PASSWORD must be set}"
	printf '%s\n' "$POSTGRES_PASSWORD" >/tmp/password
	initdb -D "$PGDATA" --username="$user" --pwfile=/tmp/password --auth-host=scram-sha-256 --auth-local=trust >/dev/null
	rm -f /tmp/password
	printf 'host all all all scram-sha-256\n' >>"$PGDATA/pg_hba.conf"
	pg_ctl -D "$PGDATA" -o '-c listen_addresses=' -w start >/dev/null
	[ "$database" = postgres ] || createdb --username="$user" "$database"
	for file in /docker-entrypoint-initdb.d/*.sql; do
		[ -e "$file" ] || continue
		psql -v ON_ERROR_STOP=1 --username="$user" --dbname="$database" -f "$file"
	done
	pg_ctl -D "$PGDATA" -m fast -w stop >/dev/null
fi

shift
exec postgres -c listen_addresses='*' "$@"
