# shellcheck shell=sh
# backup: the database is dumped, the dump restored into a database of its own and compared, and only then given its
# name. In a deploy that restored copy stands by until the commit: it can take the database's place at once.
# Deadline: 21600 seconds.
# A failure: undone; the release before serves all the while.

backup_do() {
	backup_wanted
	case $? in
	0) ;;
	1) return 0 ;;
	*) return 1 ;;
	esac
	mkdir -p "$backups" && chmod 0700 "$backups" || return 1
	backup_clear
	backup_id=$RUN
	backup_partial=$backups/.partial-$RUN
	put backing-up 1 || return 1
	backup_bytes=$(engine_bytes "$DATABASE_NAME") || return 1
	database_room "$backup_bytes" || return 1
	engine_dump "$backup_partial.dump" "$backup_partial.snapshot" "$backup_partial.counts" || return 1
	sync "$backup_partial.dump" 2>/dev/null || sync
	engine_list "$backup_partial.dump" || fail 'the dump that was written is not whole' || return 1
	uptime_cs
	backup_began=$uptime_cs
	standby_make "$backup_partial.dump" "$backup_partial.counts" || return 1
	uptime_cs
	put verify-ms $(((uptime_cs - backup_began) * 10))
	backup_cache || return 1
	# Migrations change the database alone.
	backup_without=
	[ "$KIND" = deploy ] || volumes_take || {
		# The dump is good by itself.
		backup_without=$(cat "$run_dir/reason" 2>/dev/null)
		backup_without=${backup_without:-what was printed says why}
		rm -f "$run_dir/reason" "$backup_partial.volumes" "$backup_partial".volume-*.tar
	}
	backup_name || return 1
	if [ "$KIND" != deploy ] || [ "$RESTORE" = never ]; then
		standby_goes || return 1
	fi
	backup_retain || return 1
	[ -z "$backup_without" ] || fail "backup $backup_id holds the database alone, since the volumes could not be copied: $backup_without"
}

# In a deploy: only where the settings ask for it. By hand: always. 0 for yes, 1 for no, 2 where it cannot be told.
backup_wanted() {
	case $KIND:$BACKUP in
	deploy:never) note 'backup is set to never: none is made' && return 1 ;;
	deploy:before-migrations)
		migrations_are_pending || { note 'no migration is pending: there is no backup' && return 1; } || return 1
		;;
	esac
	[ "$KIND" != deploy ] || database_known || { note 'there is no database yet' && return 1; } || return 1
	database_wait 10 || return 2
	[ "$KIND" = deploy ] || return 0
	backup_columns=$(engine_columns "$DATABASE_NAME") || return 2
	[ -n "$backup_columns" ] || { note 'the database is empty: there is no backup' && return 1; }
}

# The cache's own file, where it holds what must not be lost. It is never restored without being asked.
backup_cache() {
	[ "$CACHE_PERSIST" = 1 ] || return 0
	backup_cache_container=$(containers "$CACHE_SERVICE" | head -n 1)
	[ -n "$backup_cache_container" ] || fail "the cache's service $CACHE_SERVICE has no running container" || return 1
	[ "$(docker exec "$backup_cache_container" redis-cli SAVE 9>&-)" = OK ] || fail "redis-cli SAVE failed in $CACHE_SERVICE" || return 1
	# shellcheck disable=SC2016 # for the shell in the container
	docker exec "$backup_cache_container" sh -c 'cat "$(redis-cli --raw CONFIG GET dir | tail -n 1)/$(redis-cli --raw CONFIG GET dbfilename | tail -n 1)"' \
		9>&- >"$backup_partial.rdb" || fail "the file of $CACHE_SERVICE cannot be read" || return 1
	[ -s "$backup_partial.rdb" ] || fail "the file of $CACHE_SERVICE is empty"
}

# What tells of the dump first; the dump gets its name last, in one step.
backup_name() {
	backup_sum=$(sha256sum <"$backup_partial.dump") && backup_sum=${backup_sum%% *} || return 1
	printf '%s  %s.dump\n' "$backup_sum" "$backup_id" | write_file "$backups/$backup_id.dump.sha256" || return 1
	backup_size=$(wc -c <"$backup_partial.dump" | tr -d ' ')
	printf '{"id":%s,"kind":%s,"engine":%s,"database":%s,"release":%s,"created":%s,"bytes":%s,"database_bytes":%s,"sha256":%s,"position":%s,"tables":%s,"rows":%s,"volumes":%s,"dump_ms":%s,"verify_ms":%s,"by":%s}\n' \
		"$(json_string "$backup_id")" "$(json_string "$KIND")" "$(json_string "$DATABASE_ENGINE")" "$(json_string "$DATABASE_NAME")" \
		"$(json_string "$(pointed "$root/current")")" "$(json_string "$(utc_now)")" "$backup_size" "$backup_bytes" \
		"$(json_string "$backup_sum")" "$(json_string "$(get position)")" "$(wc -l <"$backup_partial.counts" | tr -d ' ')" \
		"$(awk -F '|' '{ rows += $NF } END { print rows + 0 }' "$backup_partial.counts")" \
		"$(volumes_json "$backup_partial.volumes")" "$(get dump-ms)" "$(get verify-ms)" "$(json_string "$BY")" | write_file "$backups/$backup_id.json" || return 1
	[ ! -e "$backup_partial.rdb" ] || mv "$backup_partial.rdb" "$backups/$backup_id.rdb" || return 1
	volumes_name && mv "$backup_partial.counts" "$backups/$backup_id.counts" || return 1
	put snapshot "$(cat "$backup_partial.snapshot")"
	chmod 0600 "$backup_partial.dump" && mv "$backup_partial.dump" "$backups/$backup_id.dump" || return 1
	sync "$backups" 2>/dev/null || sync
	rm -f "$backup_partial".*
	put backup "$backup_id"
	tell "backup $backup_id: $((backup_size / 1024)) KB, restored once and compared"
}

# The newest keep-backups stay, and one for each of the last days, weeks and months that are asked for.
backup_retain() {
	find "$backups" -name '*.dump' ! -name '.*' | sed 's|.*/||; s|\.dump$||' | sort -r |
		awk -v own="$backup_id" -v newest="$KEEP_BACKUPS" -v days="$KEEP_DAILY" -v weeks="$KEEP_WEEKLY" -v months="$KEEP_MONTHLY" '
			function week(day) { return int((julian(day) + 0) / 7) }
			function julian(day,   y, m, d, a) {
				y = substr(day, 1, 4); m = substr(day, 5, 2); d = substr(day, 7, 2)
				a = int((14 - m) / 12); y = y + 4800 - a; m = m + 12 * a - 3
				return d + int((153 * m + 2) / 5) + 365 * y + int(y / 4) - int(y / 100) + int(y / 400) - 32045
			}
			function first(seen, key, most) { if (key in seen || count[most] >= limit[most]) return 0; seen[key] = 1; count[most]++; return 1 }
			BEGIN { limit["d"] = days; limit["w"] = weeks; limit["m"] = months }
			{
				day = substr($0, 1, 8)
				# Whatever the clock says: the one that has just been made is the newest.
				keep = NR <= newest || $0 == own
				if (first(by_day, day, "d")) keep = 1
				if (first(by_week, week(day), "w")) keep = 1
				if (first(by_month, substr(day, 1, 6), "m")) keep = 1
				if (!keep) print
			}' |
		while IFS= read -r backup_old; do
			rm -f "$backups/$backup_old.dump" "$backups/$backup_old.dump.sha256" "$backups/$backup_old.json" \
				"$backups/$backup_old.counts" "$backups/$backup_old.rdb" "$backups/$backup_old.offsite"
			volumes_forget "$backup_old"
			note "backup $backup_old is gone"
		done
}

# What cut-off backups left. Nobody else makes one now: the run holds the lock.
backup_clear() {
	rm -f "$backups"/.partial-* "$backups"/*.new
	find "$backups" -maxdepth 1 -name '.incoming-*' -mtime +0 -exec rm -rf {} +
	for backup_file in "$backups"/*.dump.sha256; do
		[ ! -e "$backup_file" ] || [ -e "${backup_file%.sha256}" ] ||
			rm -f "$backup_file" "${backup_file%.dump.sha256}.json" "${backup_file%.dump.sha256}.counts" "${backup_file%.dump.sha256}.rdb"
	done
	for backup_file in "$backups"/*.volumes "$backups"/*.volume-*.tar; do
		[ ! -e "$backup_file" ] || [ -e "${backup_file%.volume*}.dump" ] || rm -f "$backup_file"
	done
}

backup_undo() {
	has backing-up || return 0
	backup_clear
	standby_undo
}
