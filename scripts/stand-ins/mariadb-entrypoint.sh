#!/bin/sh
# The official image's start-up in short: make root's password, the database and its user once, then run the server.
set -eu

[ "${1:-}" = mariadbd ] || exec "$@"

if [ ! -d /var/lib/mysql/mysql ]; then
	: "${MARIADB_ROOT_PASSWORD:?MARIADB_ROOT_PASSWORD must be set}"
	chown mysql:mysql /var/lib/mysql
	mariadb-install-db --user=mysql --skip-test-db >/dev/null
	# A quote in a value is doubled, as SQL has it.
	quoted() { printf "'%s'" "$(printf '%s' "$1" | sed "s/\\\\/\\\\\\\\/g; s/'/''/g")"; }
	{
		printf "DELETE FROM mysql.global_priv WHERE User = '';\nFLUSH PRIVILEGES;\n"
		printf 'ALTER USER root@localhost IDENTIFIED BY %s;\n' "$(quoted "$MARIADB_ROOT_PASSWORD")"
		# shellcheck disable=SC2016 # the quotes of SQL
		printf 'CREATE DATABASE IF NOT EXISTS `%s` CHARACTER SET utf8mb4;\n' "$MARIADB_DATABASE"
		printf "CREATE USER %s@'%%' IDENTIFIED BY %s;\n" "$(quoted "$MARIADB_USER")" "$(quoted "$MARIADB_PASSWORD")"
		printf "GRANT ALL ON \`%s\`.* TO %s@'%%';\n" "$MARIADB_DATABASE" "$(quoted "$MARIADB_USER")"
	} | mariadbd --user=mysql --bootstrap --silent-startup
fi

shift
exec mariadbd --user=mysql --bind-address=0.0.0.0 --skip-name-resolve "$@"
