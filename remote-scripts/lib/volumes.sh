# shellcheck shell=sh
# Volumes and shared folders in backups. VOLUMES has a word for each: NAME=volume/DOCKER-NAME or NAME=shared/PATH. Beside the dump
# ID.dump lie an archive of each, ID.volume-NAME.tar, and ID.volumes, a line each: name, SHA-256, bytes, files, where it is from; parted
# by tabs. Containers of the edge's image read and write them, as root with no right but those over files: who deploys may have none.
# shellcheck disable=SC2154 # the settings come from lib/settings.sh

# volumes_source NAME: what is mounted for it. It is there: the Engine would make an empty one.
volumes_source() {
	for source_word in $VOLUMES; do
		case $source_word in
		"$1=volume/"*)
			source_found=${source_word#*=volume/}
			docker volume inspect "$source_found" 9>&- >/dev/null 2>&1 || fail "the volume $source_found does not exist" || return 1
			;;
		"$1=shared/"*)
			source_found=$root/shared/${source_word#*=shared/}
			[ -d "$source_found" ] || fail "the folder $source_found does not exist" || return 1
			;;
		*) continue ;;
		esac
		printf '%s\n' "$source_found"
		return 0
	done
	fail "[backup] volumes does not name $1"
}

# volumes_run MOUNT SCRIPT [ARG…]: in a container with that mount, by the image's own shell.
volumes_run() {
	run_mount=$1
	run_script=$2
	shift 2
	docker run --rm -i --network none --user 0 --read-only --cap-drop ALL --cap-add CHOWN --cap-add DAC_OVERRIDE --cap-add FOWNER --cap-add FSETID \
		--log-driver none --security-opt no-new-privileges --label "estiba.run=$RUN" -v "$run_mount" --entrypoint sh \
		"$(sed -n 's/^ESTIBA_EDGE_IMAGE=//p' "$releases/$RELEASE/estiba.env")" -c "$run_script" sh "$@" 9>&-
}

# volumes_room MOUNT BYTES WHAT: is there room for that much where it is mounted?
volumes_room() {
	# shellcheck disable=SC2016 # for the shell in the container
	room_kb=$(volumes_run "$1" 'df -Pk /volume | { read -r _ && read -r _ _ _ free _ && echo "$free"; }' </dev/null)
	is_number "$room_kb" || room_kb=0
	[ "$room_kb" -gt "$(($2 / 1024 + 10240))" ] ||
		fail "there is no room to unpack $3: it needs $(($2 / 1048576 + 10)) MB"
}

# volumes_take: an archive of each, beside the dump that is being made. The site goes on: a file that is written meanwhile may be in it or
# not, and whatever the dump's rows name was there before.
volumes_take() {
	[ -n "$VOLUMES" ] || return 0
	: >"$backup_partial.volumes" || return 1
	for take_word in $VOLUMES; do
		take_name=${take_word%%=*}
		take_archive=$backup_partial.volume-$take_name.tar
		take_from=$(volumes_source "$take_name") || return 1
		take_kb=$(volumes_run "$take_from:/volume:ro" 'du -sk /volume' | cut -f 1)
		is_number "$take_kb" || fail "the size of $take_name cannot be told" || return 1
		[ "$(df -Pk "$backups" | awk 'NR == 2 { print $4 }')" -gt "$((take_kb + take_kb / 10 + 10240))" ] ||
			fail "there is no room for a copy of $take_name, which has $((take_kb / 1024)) MB, under $backups" || return 1
		# tar ends with 1 where a file changed or went while it was read.
		volumes_run "$take_from:/volume:ro" 'tar -C /volume --sort=name --numeric-owner --hard-dereference --exclude "./.estiba-*" -c . || [ $? = 1 ]' \
			>"$take_archive" || fail "$take_name cannot be read whole" || return 1
		take_files=$(volumes_count "$take_archive") || fail "the archive of $take_name that was written is not whole" || return 1
		take_sum=$(sha256sum <"$take_archive") && take_sum=${take_sum%% *} || return 1
		take_bytes=$(wc -c <"$take_archive" | tr -d ' ')
		take_same=$(volumes_same "$take_name" "$take_sum")
		if [ -n "$take_same" ] && ! cmp -s "$take_same" "$take_archive"; then
			tell "the archive $take_same is damaged: it is not what it was when it was written"
			take_same=
		fi
		if [ -n "$take_same" ]; then
			ln -f "$take_same" "$take_archive" || return 1
			take_note=', as in the backup before'
		else
			take_note=
			chmod 0600 "$take_archive" && { sync "$take_archive" 2>/dev/null || sync; } || return 1
		fi
		printf '%s\t%s\t%s\t%s\t%s\n' "$take_name" "$take_sum" "$take_bytes" "$take_files" "${take_word#*=}" >>"$backup_partial.volumes" || return 1
		[ "$take_files" != 0 ] || ! volumes_had_files "$take_name" ||
			tell "$take_name holds no file, and a backup before has some of it: is its disk mounted?"
		tell "volume $take_name: $take_files files, $((take_bytes / 1024)) KB$take_note"
	done
}

# volumes_count ARCHIVE: how many files it holds. Fails where it is not whole.
volumes_count() {
	count_listed=$(LC_ALL=C tar -tf "$1" 2>/dev/null && echo whole) || return 1
	printf '%s\n' "$count_listed" | awk '$0 == "whole" { next } !/\/$/ { files++ } END { print files + 0 }'
}

# volumes_same NAME SUM: the archive of another backup that has the very same content.
volumes_same() {
	for same_list in "$backups"/*.volumes; do
		same_archive=${same_list%.volumes}.volume-$1.tar
		[ -f "$same_archive" ] || continue
		awk -F '\t' -v name="$1" -v sum="$2" '$1 == name && $2 == sum { found = 1 } END { exit !found }' "$same_list" || continue
		printf '%s\n' "$same_archive"
		return 0
	done
}

# volumes_had_files NAME: does another backup hold files of it?
volumes_had_files() {
	cat "$backups"/*.volumes 2>/dev/null | awk -F '\t' -v name="$1" '$1 == name && $4 > 0 { found = 1 } END { exit !found }'
}

# volumes_name: the archives of the backup that is being made get their names; the list, by which they are known, last.
volumes_name() {
	[ -e "$backup_partial.volumes" ] || return 0
	for name_archive in "$backup_partial".volume-*.tar; do
		[ ! -e "$name_archive" ] || mv "$name_archive" "$backups/$backup_id.${name_archive#"$backup_partial".}" || return 1
	done
	mv "$backup_partial.volumes" "$backups/$backup_id.volumes"
}

# volumes_json FILE: the list as JSON.
volumes_json() {
	[ -s "$1" ] || { printf '[]' && return 0; }
	awk -F '\t' 'BEGIN { printf "[" } { printf "%s{\"name\":\"%s\",\"bytes\":%s,\"files\":%s}", comma, $1, $3, $4; comma = "," } END { printf "]" }' "$1"
}

# volumes_in ID: the names of those that the backup holds.
volumes_in() {
	cut -f 1 "$backups/$1.volumes" 2>/dev/null
}

# volumes_whole ID NAME: the archive is what was written. Sets whole_archive and whole_files.
volumes_whole() {
	whole_archive=$backups/$1.volume-$2.tar
	whole_line=$(awk -F '\t' -v name="$2" '$1 == name { print $2, $4 }' "$backups/$1.volumes" 2>/dev/null)
	[ -n "$whole_line" ] || fail "backup $1 holds no volume $2: it holds $(volumes_in "$1" | grep . | paste -s -d ' ' - | grep . || echo none)" || return 1
	whole_files=${whole_line#* }
	whole_sum=$(sha256sum <"$whole_archive" 2>/dev/null)
	[ "${whole_sum%% *}" = "${whole_line% *}" ] ||
		fail "the archive of $2 in backup $1 is damaged: its SHA-256 is another than when it was written"
}

# volumes_try ID NAME: unpacked into a volume that goes with its container, each file is there.
volumes_try() {
	volumes_whole "$1" "$2" && volumes_room /volume "$(wc -c <"$whole_archive")" "$2" || return 1
	# shellcheck disable=SC2016 # for the shell in the container
	try_files=$(volumes_run /volume 'tar -C /volume --numeric-owner -x && find /volume -mindepth 1 ! -type d -printf x | wc -c' <"$whole_archive") ||
		fail "the archive of $2 in backup $1 cannot be unpacked" || return 1
	[ "$try_files" -eq "$whole_files" ] ||
		fail "of $whole_files files of $2 in backup $1, $try_files are there once it is unpacked" || return 1
	tell "volume $2: $whole_files files, unpacked and counted"
}

# volumes_try_all ID
volumes_try_all() {
	# What is told of the backup names each of them.
	all_told=$(sed -n 's/.*"volumes":\[\([^]]*\)\].*/\1/p' "$backups/$1.json" 2>/dev/null | grep -o '"name"' | grep -c .)
	[ "$(volumes_in "$1" | grep -c .)" -eq "$all_told" ] || fail "the list of volumes of backup $1 is not whole: $all_told were copied" || return 1
	for all_name in $(volumes_in "$1"); do volumes_try "$1" "$all_name" || return 1; done
}

# volumes_forget ID
volumes_forget() {
	rm -f "$backups/$1.volumes" "$backups/$1".volume-*.tar
}
