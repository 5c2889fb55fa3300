# shellcheck shell=sh
# The database behind the app, whatever its engine. What is particular to an engine stands in one file of
# lib/database/, which defines:
#
#   engine_open                     settles name and user; fails where the server does not answer
#   engine_sql DB                   runs SQL from standard input, prints rows bare
#   engine_dump FILE SNAPSHOT COUNTS   dumps the database, with the row counts and the mark of that very moment
#   engine_list FILE                is FILE a whole dump, by its own table of contents?
#   engine_load DB <DUMP            restores a dump into the empty database DB; fails where it is not all of it
#   engine_counts DB                prints `table|rows` for every table
#   engine_columns DB               prints `table column` for every column
#   engine_schema DB                prints all of the schema that can be compared: columns, indexes, constraints
#   engine_bytes DB                 the database's size
#   engine_create DB                makes an empty database like the app's, with the app's owner and settings
#   engine_drop DB                  takes a database away, connections and all; it need not be there
#   engine_exists DB                is it there? 1 where it is not, 2 where the server does not say
#   engine_standbys                 prints the names of all databases that runs have made for themselves
#   engine_replace DB AWAY          DB takes the place of the app's database, which becomes AWAY, in one step
#   engine_fence, engine_unfence    the app's database takes no writes, takes them again; `put fence-leaks 1` where it
#                                   cannot refuse all but the migration's
#   engine_written SNAPSHOT         how many transactions were committed since
#   engine_snapshot                 the mark of this moment, for engine_written
#   engine_script DB                runs a team's own SQL file from standard input, all of it or nothing
#   engine_end_ours                 ends what an interrupted run left working in the database
#   engine_look_environment         NAME=VALUE lines for a container that only looks: nothing can be written; nothing where the
#                                   engine has no such setting
#   engine_migrate_environment      NAME=VALUE lines for the container that migrates: time-out for locks, past the fence
# shellcheck disable=SC2154,SC2034 # the settings come from lib/settings.sh

backups=$root/backups

# database_open: to be called before anything else here. Fails where there is none, with the reason.
database_open() {
	[ -n "$DATABASE_SERVICE" ] || { fail 'no database is known: set [database] service' && return 1; } || return 1
	database_container=$(containers "$DATABASE_SERVICE" | head -n 1)
	[ -n "$database_container" ] || fail "the database's service $DATABASE_SERVICE has no running container" || return 1
	. "$here/lib/database/$DATABASE_ENGINE.sh"
	engine_open
}

# database_environment: looks at what the container was given; environment_value NAME: prints one value of it. Asked of
# the Engine: on a full disk nothing can be started in a container, and a name that was not found must not be guessed.
database_environment() {
	database_given=$(docker inspect -f '{{range .Config.Env}}{{println .}}{{end}}' "$database_container" 9>&-) ||
		fail "Docker does not report the environment of $DATABASE_SERVICE"
}

environment_value() {
	printf '%s\n' "$database_given" | sed -n "s/^$1=//p" | head -n 1
}

# database_wait [SECONDS]: as database_open, for an undo: a database that a full disk or a crash took down has a minute
# to answer.
database_wait() {
	deadline_in "${1:-60}"
	until database_open >/dev/null 2>&1; do
		if past_deadline; then
			database_open
			return
		fi
		rm -f "$run_dir/reason" "$run_dir/state/engine-lost"
		nap 0.5
	done
}

# database_known: is there a database to be opened, in this release and on this server? One whose container has stopped is there, and
# so is one that this run has seen: to go on as if there were none would be to migrate without a backup.
database_known() {
	[ -n "$DATABASE_SERVICE" ] || return 1
	[ -e "${run_dir:-/}/state/database-known" ] || [ -n "$(containers "$DATABASE_SERVICE" all)" ]
}

# standby: the name of this run's own database.
standby() {
	printf 'estiba_%s\n' "$RUN" | tr 'A-Z-' 'a-z_' | cut -c 1-60
}

# standby_make DUMP COUNTS: the dump restored into this run's own database, and compared. Copies that an earlier run
# could not take away go first.
standby_make() {
	engine_standbys >"$run_dir/state/standbys"
	while IFS= read -r standby_stale <&3; do
		if ! is_word "$standby_stale" || standby_is_wanted "$standby_stale"; then continue; fi
		engine_drop "$standby_stale" || return 1
	done 3<"$run_dir/state/standbys"
	put_durably standby "$(standby)" || return 1
	engine_create "$(standby)" || fail 'no database could be created to restore the dump' || return 1
	database_load "$1" "$(standby)" && database_compare "$2" "$(standby)"
}

# standby_is_wanted NAME: may another run that has not ended yet need that copy for its undo?
standby_is_wanted() {
	for wanted_run in "$runs"/*/; do
		[ "$wanted_run" = "$run_dir/" ] || [ -e "$wanted_run/outcome" ] ||
			[ "$(cat "$wanted_run/state/standby" 2>/dev/null)" != "$1" ] || return 0
	done
	return 1
}

standby_goes() {
	has standby || return 0
	engine_drop "$(standby)" && rm -f "$run_dir/state/standby"
}

# standby_undo: a copy that cannot be taken away now is in nobody's way: the next backup takes it.
standby_undo() {
	# Its container may be about to come back.
	has standby && [ -n "$(containers "$DATABASE_SERVICE" all)" ] || return 0
	# To take a database away PostgreSQL writes, and on a full disk it may stop by it.
	disk_is_full 16384 || { database_wait 20 && standby_goes && return 0; }
	rm -f "$run_dir/reason"
	tell "the database $(standby) could not be removed; the next backup removes it"
}

# disk_is_full KB: is there less than that for the database to write into?
disk_is_full() {
	full_docker=$(docker info --format '{{.DockerRootDir}}' 9>&-)
	[ "$(df -Pk "$root" "${full_docker:-$root}" 2>/dev/null | awk 'NR > 1 {print $4}' | sort -n | head -n 1)" -lt "$1" ]
}

# migrations_are_pending: as far as `pending` could know.
migrations_are_pending() {
	[ -s "$run_dir/state/pending" ]
}

# migrations_applied: as Django writes them down, one a line: app and name. Nothing where it is another framework.
migrations_applied() {
	[ "$(engine_columns "$DATABASE_NAME" | grep -c 'django_migrations app$')" = 1 ] || return 0
	echo "SELECT concat(app, ' ', name) FROM django_migrations ORDER BY id" | engine_sql "$DATABASE_NAME"
}

# replaced_name: a dated name for the database that another takes the place of.
replaced_name() {
	printf '%s_replaced_%s\n' "$(printf '%s' "$DATABASE_NAME" | cut -c 1-36)" "$(date -u +%Y%m%dt%H%M%Sz)"
}

# database_load FILE DB: restores FILE into DB with progress in the journal.
database_load() {
	load_size=$(wc -c <"$1" | tr -d ' ')
	engine_load "$2" <"$1" 2>"$run_dir/state/load.err" &
	load_pid=$!
	load_told=0
	while kill -0 "$load_pid" 2>/dev/null; do
		nap 0.5
		# How far the reader has come in the file.
		load_at=$(sed -n 's/^pos:[^0-9]*//p' "/proc/$load_pid/fdinfo/0" 2>/dev/null)
		load_percent=$((${load_at:-0} * 100 / (load_size + 1)))
		[ "$load_percent" -lt $((load_told + 10)) ] || {
			load_told=$load_percent
			note "restored $load_percent % of $((load_size / 1048576)) MB"
		}
	done
	wait "$load_pid" || {
		sed 's/^/| /' "$run_dir/state/load.err"
		fail "the dump ${1##*/} cannot be restored: $(grep -m 1 -i error "$run_dir/state/load.err" || tail -n 1 "$run_dir/state/load.err")"
		return 1
	}
}

# database_compare FILE DB: has DB the tables and rows that FILE's counts say?
database_compare() {
	engine_counts "$2" >"$run_dir/state/counts.restored" || fail 'the rows of the restored copy cannot be counted' || return 1
	cmp -s "$1" "$run_dir/state/counts.restored" && return 0
	compare_first=$(diff "$1" "$run_dir/state/counts.restored" | sed -n 's/^[<>] //p' | head -n 1)
	fail "the restored copy differs from the dump, first in table ${compare_first%%|*}"
}

# database_room BYTES: is there room for a dump under the root and for a copy beside the database?
database_room() {
	is_number "$1" || fail 'the database does not report its size' || return 1
	room_need=$(($1 / 1024 + 65536))
	room_free=$(df -Pk "$backups" | awk 'NR == 2 {print $4}')
	[ "$room_free" -ge "$room_need" ] ||
		fail "the disk under $backups is too full for a backup: $((room_free / 1024)) MB are free, $((room_need / 1024)) MB are needed" || return 1
	room_docker=$(docker info --format '{{.DockerRootDir}}' 9>&-)
	# In the backup service's container it is not to be seen: it may well be the same disk.
	[ -d "$room_docker" ] || room_docker=$backups
	room_free=$(df -Pk "$room_docker" | awk 'NR == 2 {print $4}')
	[ "$(df -Pk "$backups" "$room_docker" | awk 'NR > 1 {print $1}' | sort -u | wc -l)" -gt 1 ] || room_need=$((room_need * 2))
	[ "$room_free" -ge "$room_need" ] ||
		fail "the disk under $room_docker is too full for a copy of the database: $((room_free / 1024)) MB are free, $((room_need / 1024)) MB are needed"
}

# backup_whole ID: is that backup complete, and what was written?
backup_whole() {
	[ -e "$backups/$1.dump" ] || fail "there is no backup $1" || return 1
	[ -e "$backups/$1.dump.sha256" ] || fail "the backup $1 has no checksum" || return 1
	[ -e "$backups/$1.counts" ] || fail "the backup $1 has no row counts" || return 1
	is_sum_of "$backups/$1.dump.sha256" "$backups/$1.dump" ||
		fail "the backup $1 is damaged: its SHA-256 differs" || return 1
	engine_list "$backups/$1.dump" || fail "the backup $1 is not a whole dump"
}
