# shellcheck shell=sh
# stack: the services behind the apps (database, cache, backup) run. Those that run already are left alone; those whose files
# changed take them over, by their own reload; those that preflight found to be replaced on purpose are replaced.
# Deadline: MIGRATE_TIMEOUT seconds.
# A failure: undone; the release before serves all the while.

stack_do() {
	put created ''
	stack_shared && stack_files || return 1
	# The stack is there, and what a release before had other settings for stays as it is.
	[ "$KIND" != rollback ] || return 0
	stack_up "$STACK_SERVICES" || return 1
	for stack_job in $STACK_JOBS; do stack_run "$stack_job" || return 1; done
	stack_up "$STACK_AFTER_JOBS" || return 1
	for stack_service in $(get replace); do
		case " $APPS " in *" $stack_service "*) continue ;; esac
		case " $STACK_JOBS " in *" $stack_service "*) continue ;; esac
		put replaced "$(get replaced) $stack_service"
		tell "the container of $stack_service is replaced; what uses it may fail until the new one answers"
		compose "$RELEASE" "$(get slot)" up -d --no-deps --force-recreate --wait "$stack_service" || stack_failed "$stack_service" || return 1
		stack_stays_up "$stack_service" || return 1
	done
	# On an empty server those that wait for an app start when one serves.
	[ -z "$(get old-slot)" ] || stack_up "$STACK_AFTER_APPS"
}

# stack_up SERVICES: those of them that do not run are started.
stack_up() {
	stack_down=
	for stack_service in $1; do
		# What only seems to be missing would be removed by the undo.
		stack_there=$(containers "$stack_service" all) && stack_running=$(containers "$stack_service") || engine_lost || return 1
		[ -n "$stack_there" ] || put created "$(get created) $stack_service"
		[ -n "$stack_running" ] || stack_down="$stack_down $stack_service"
	done
	[ -n "$stack_down" ] || return 0
	# shellcheck disable=SC2086 # service names, none with a space
	compose "$RELEASE" "$(get slot)" up -d --no-recreate --no-deps --wait $stack_down || stack_failed "$stack_down" || return 1
	stack_stays_up "$stack_down"
}

# stack_stays_up SERVICES: Compose calls a container started that runs for a second. Of those without a healthcheck, each has to
# run for five seconds without being started again.
stack_stays_up() {
	for stack_service in $1; do
		for stack_id in $(containers "$stack_service" all); do
			[ "$(docker inspect -f '{{if .State.Health}}healthcheck{{end}}' "$stack_id" 9>&-)" = healthcheck ] ||
				printf '%s %s\n' "$stack_id" "$(incarnation "$stack_id")"
		done
	done >"$run_dir/state/started"
	[ -s "$run_dir/state/started" ] || return 0
	deadline_in 5
	until past_deadline; do
		while read -r stack_id stack_then; do
			if [ "$(incarnation "$stack_id")" = "$stack_then" ] && [ "${stack_then%% *}" = running ]; then continue; fi
			last_lines "$stack_id"
			fail "a service of the stack does not stay up: $(docker inspect -f '{{index .Config.Labels "com.docker.compose.service"}}' "$stack_id" 9>&-) ends within five seconds and is started again; its last words are above"
			return 1
		done <"$run_dir/state/started"
		nap 0.5
	done
}

# stack_run JOB: once; again when it is another one, or has not ended well.
stack_run() {
	stack_there=$(containers "$1" all) || engine_lost || return 1
	if [ -n "$stack_there" ]; then
		case " $(get replace) " in
		*" $1 "*) ;;
		*) [ "$(docker inspect -f '{{.State.Status}} {{.State.ExitCode}}' "$stack_there" 9>&-)" != 'exited 0' ] || return 0 ;;
		esac
	else
		put created "$(get created) $1"
	fi
	tell "the job $1 runs"
	compose "$RELEASE" "$(get slot)" up -d --no-deps --force-recreate "$1" || fail "the job $1 does not start" || return 1
	stack_there=$(containers "$1" all | head -n 1)
	[ "$(docker wait "$stack_there" 9>&-)" = 0 ] || {
		last_lines "$stack_there"
		fail "the job $1 failed"
	}
}

# stack_files: the files of the stack's services that changed are put in place; who mounts them reads them again.
stack_files() {
	stack_moving && stack_linked || return 1
	stack_changed=
	: >"$run_dir/state/stack-paths"
	while IFS='	' read -r stack_service stack_path; do
		# A rollback leaves alone what could only be replaced.
		case " $(get stays) " in *" $stack_service "*) continue ;; esac
		stack_same "$stack_path" && continue
		stack_changed="$stack_changed $stack_service"
		printf '%s\n' "$stack_path" >>"$run_dir/state/stack-paths"
	done <"$releases/$RELEASE/stack.files"
	[ -n "$stack_changed" ] || return 0
	stack_keep || return 1
	sort -u "$run_dir/state/stack-paths" | while IFS= read -r stack_path; do
		stack_put "$stack_path" || exit 1
	done || fail 'the files of the stack cannot be written' || return 1
	for stack_service in $(printf '%s\n' "$stack_changed" | tr ' ' '\n' | sort -u); do
		stack_reload "$stack_service" || return 1
	done
}

# stack_linked: where a stack from before estiba is taken over, the files that its services mount stay where they are, and are
# linked to, so that what is put in place is what they see.
stack_linked() {
	[ "$(get old-slot)" = legacy ] || return 0
	# A folder comes before what is mounted from within it.
	sort -t '	' -k 2 "$releases/$RELEASE/stack.files" >"$run_dir/state/stack-files" || return 1
	while IFS='	' read -r stack_service stack_path; do
		[ ! -e "$root/stack/$stack_path" ] || continue
		stack_id=$(containers "$stack_service" all | head -n 1)
		[ -n "$stack_id" ] || continue
		stack_source=$(docker inspect -f '{{range .Mounts}}{{if eq .Type "bind"}}{{println .Source}}{{end}}{{end}}' "$stack_id" 9>&- |
			awk -v end="/$stack_path" 'substr($0, length($0) - length(end) + 1) == end' | head -n 1)
		if [ -z "$stack_source" ] || [ ! -w "$stack_source" ]; then continue; fi
		mkdir -p "$(dirname "$root/stack/$stack_path")" && ln -s "$stack_source" "$root/stack/$stack_path" || return 1
	done <"$run_dir/state/stack-files"
}

# stack_same PATH: is what lies in place what the release has?
stack_same() {
	stack_put "$1" '' look
}

# stack_keep: a copy of what lies in place, for the undo.
stack_keep() {
	[ ! -e "$run_dir/stack.before" ] || return 0
	rm -rf "$run_dir/stack.copy"
	if mkdir -p "$root/stack" && cp -RPp "$root/stack" "$run_dir/stack.copy" && stack_keep_linked && mv "$run_dir/stack.copy" "$run_dir/stack.before"; then
		return 0
	fi
	fail 'the files of the stack cannot be kept for an undo'
}

# stack_keep_linked: what a service mounts may be a link that estiba has made, and is copied itself. Any other link a container may
# have put there, to have a file of the server copied to where it can read it.
stack_keep_linked() {
	cut -f 2 "$releases/$RELEASE/stack.files" | sort -u | while IFS= read -r keep_path; do
		if [ ! -L "$run_dir/stack.copy/$keep_path" ] || stack_nested "$keep_path"; then continue; fi
		rm -f "$run_dir/stack.copy/$keep_path" && cp -RHp "$root/stack/$keep_path" "$run_dir/stack.copy/$keep_path" || exit 1
	done
}

# stack_put PATH [FROM [look]]: that file or folder as the release has it, each file by its own inode: a mounted file is seen
# by that. With `look` nothing is written; it fails where something would be.
stack_put() {
	stack_from=${2:-$releases/$RELEASE/stack}
	stack_look=${3:-}
	# A container that may write to a folder may have put a link there, out of it: nothing is written through that.
	if [ -L "$root/stack/$1" ] && stack_nested "$1"; then
		{ [ -z "$stack_look" ] && rm -f "$root/stack/$1"; } || return 1
	fi
	stack_written=
	! stack_is_written "$1" || stack_written=1
	if [ -d "$stack_from/$1" ]; then
		[ -d "$root/stack/$1" ] || { [ -z "$stack_look" ] && mkdir -p "$root/stack/$1"; } || return 1
		# A name with a line end in it could lead elsewhere.
		(cd "$root/stack/$1/" && find . -type l ! -path "*
*") | while IFS= read -r stack_link; do
			[ -z "$stack_written" ] || [ -e "$stack_from/$1/$stack_link" ] || continue
			{ [ -z "$stack_look" ] && rm -f "$root/stack/$1/$stack_link"; } || exit 1
		done || return 1
		(cd "$root/stack/$1/" && find . -type f ! -path "*
*") | while IFS= read -r stack_file; do
			[ ! -e "$stack_from/$1/$stack_file" ] && ! stack_edge_file "$1" "$stack_file" || continue
			[ -z "$stack_written" ] || stack_is_ours "$1/$stack_file" || continue
			{ [ -z "$stack_look" ] && rm -f "$root/stack/$1/$stack_file"; } || exit 1
		done || return 1
		(cd "$stack_from/$1" && find . -type f) | while IFS= read -r stack_file; do
			[ -z "$stack_written" ] || stack_is_ours "$1/$stack_file" || [ ! -e "$root/stack/$1/$stack_file" ] || continue
			stack_copy "$stack_from/$1/$stack_file" "$root/stack/$1/$stack_file" || exit 1
		done
	elif [ -e "$stack_from/$1" ]; then
		[ -z "$stack_written" ] || stack_is_ours "$1" || [ ! -e "$root/stack/$1" ] || return 0
		stack_copy "$stack_from/$1" "$root/stack/$1"
	fi
}

# stack_edge_file PATH FILE: is it an edge's, in a folder that was the proxy's and the edges' at once?
stack_edge_file() {
	[ -L "$root/stack/$1" ] || return 1
	stack_first=${2#./}
	[ -e "$edge/${stack_first%%/*}/haproxy.cfg" ]
}

# stack_nested PATH: does it lie in a folder that a service mounts too, whose container may have put a link in its place?
stack_nested() {
	STACK_PATH=$1 awk -F '\t' 'index(ENVIRON["STACK_PATH"], $2 "/") == 1 { found = 1 } END { exit !found }' "$releases/$RELEASE/stack.files"
}

stack_copy() {
	# A pipe in a file's place would be waited for.
	if [ -e "$2" ] && [ ! -f "$2" ]; then
		{ [ -z "$stack_look" ] && rm -rf "$2"; } || return 1
	fi
	! cmp -s "$1" "$2" || return 0
	[ -z "$stack_look" ] || return 1
	mkdir -p "$(dirname "$2")" || return 1
	if [ -e "$2" ]; then
		cat "$1" >"$2" && chmod "$(stat -c %a "$1")" "$2"
	else
		cp -p "$1" "$2"
	fi
}

# stack_reload SERVICE: it reads its files again, after its own test. One without a container reads them when it starts.
stack_reload() {
	stack_reloaded=$1
	stack_id=$(containers "$1") || engine_lost || return 1
	[ -n "$stack_id" ] || return 0
	case " $(get replace) " in *" $1 "*) return 0 ;; esac
	stack_line=$(awk -F '\t' -v name="$1" '$1 == name' "$releases/$RELEASE/stack.reloads")
	[ -n "$stack_line" ] || return 0
	stack_test=$(printf '%s\n' "$stack_line" | cut -f 2)
	stack_words=$(printf '%s\n' "$stack_line" | cut -f 3)
	for stack_one in $stack_id; do
		if [ -n "$stack_test" ]; then
			eval "set -- $stack_test"
			docker exec "$stack_one" "$@" 9>&- 2>&1 || fail "$stack_reloaded refuses its changed files: \"$*\" failed; its output is above" || return 1
		fi
		if [ -n "$stack_words" ]; then
			eval "set -- $stack_words"
			docker exec "$stack_one" "$@" 9>&- 2>&1 || fail "$stack_reloaded could not be told to read its changed files: \"$*\" failed" || return 1
		fi
	done
	tell "$stack_reloaded has read its changed files"
}

# stack_moving: an estiba before edges wrote the proxy's configuration into <root>/edge, which the proxy mounts. The files are
# the team's own again, in the same folder, which the stack's path leads to.
stack_moving() {
	[ -e "$edge/estiba-upstreams.conf" ] || return 0
	[ -n "$EXPECT_CURRENT" ] && [ ! -e "$releases/$EXPECT_CURRENT/apps" ] || return 0
	stack_proxy=$(setting "$EXPECT_CURRENT" PROXY_SERVICE)
	stack_folder=$(awk -F '\t' -v name="$stack_proxy" '$1 == name { print $2 }' "$releases/$RELEASE/stack.files" | while IFS= read -r stack_path; do
		[ ! -d "$releases/$RELEASE/stack/$stack_path" ] || { printf '%s\n' "$stack_path" && break; }
	done)
	[ -n "$stack_folder" ] && [ ! -e "$root/stack/$stack_folder" ] || return 0
	mkdir -p "$(dirname "$root/stack/$stack_folder")" && ln -s "$edge" "$root/stack/$stack_folder"
}

# stack_failed SERVICES: which of them does not run, and its last words.
stack_failed() {
	for stack_service in $1; do
		stack_id=$(containers "$stack_service" all | head -n 1)
		[ -n "$stack_id" ] || continue
		case $(docker inspect -f '{{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{end}}' "$stack_id" 9>&-) in
		'running ' | 'running healthy') ;;
		*)
			last_lines "$stack_id"
			fail "the stack's service $stack_service does not run"
			return 1
			;;
		esac
	done
	fail "the services of the stack do not start"
}

# The folders and files that outlive releases. One that is new belongs to the image's user, who must write there.
# Where a stack from before estiba is taken over, a folder stays where it is and is linked to.
stack_shared() {
	for stack_folder in $SHARED_FILES; do
		[ ! -e "$root/shared/$stack_folder" ] || continue
		mkdir -p "$(dirname "$root/shared/$stack_folder")" || return 1
		stack_old=$(stack_legacy_folder "$stack_folder")
		if [ -n "$stack_old" ]; then ln -s "$stack_old" "$root/shared/$stack_folder"; else : >"$root/shared/$stack_folder"; fi || return 1
		stack_give "$stack_folder"
	done
	for stack_folder in $SHARED; do
		[ ! -e "$root/shared/$stack_folder" ] || continue
		stack_old=$(stack_legacy_folder "$stack_folder")
		mkdir -p "$(dirname "$root/shared/$stack_folder")" || return 1
		if [ -n "$stack_old" ]; then
			tell "shared/$stack_folder is the folder that runs already: $stack_old"
			ln -s "$stack_old" "$root/shared/$stack_folder" || return 1
			continue
		fi
		mkdir -p "$root/shared/$stack_folder" || return 1
		stack_give "$stack_folder"
	done
}

# stack_give PATH: what is new belongs to the app's user, who must write there.
stack_give() {
	stack_user=$(docker image inspect -f '{{.Config.User}}' "$IMAGE_ID" 9>&- 2>/dev/null)
	case $stack_user in
	'' | root | 0 | 0:0) return 0 ;;
	esac
	docker run --rm --network none --user 0 --entrypoint chown -v "$root/shared/$1:/shared" "$IMAGE_ID" \
		"$stack_user" /shared 9>&- || note "shared/$1 could not be given to the image's user $stack_user"
	return 0
}

stack_legacy_folder() {
	[ "$(get old-slot)" = legacy ] || return 0
	for stack_id in $(docker ps -aq --filter "label=com.docker.compose.project=$COMPOSE_PROJECT" 9>&-); do
		docker inspect -f '{{range .Mounts}}{{if eq .Type "bind"}}{{println .Source}}{{end}}{{end}}' "$stack_id" 9>&-
	done | grep "/$1\$" | head -n 1
}

stack_undo() {
	if [ -e "$run_dir/stack.before" ]; then
		sort -u "$run_dir/state/stack-paths" | while IFS= read -r stack_path; do
			if [ -e "$run_dir/stack.before/$stack_path" ]; then
				stack_put "$stack_path" "$run_dir/stack.before" || exit 1
			else
				rm -rf "${root:?}/stack/$stack_path" || exit 1
			fi
		done || fail 'the files of the stack could not be put back' || return 1
		grep -F -f "$run_dir/state/stack-paths" "$releases/$RELEASE/stack.files" | cut -f 1 | sort -u >"$run_dir/state/stack-services"
		while IFS= read -r stack_service; do
			# What this run made is removed below, and may have had no files before.
			case " $(get created) " in *" $stack_service "*) continue ;; esac
			stack_reload "$stack_service" || return 1
		done <"$run_dir/state/stack-services"
	fi
	for stack_service in $(get replaced); do
		tell "the container of $stack_service is replaced again, as it was before"
		compose "$EXPECT_CURRENT" "$(get old-slot)" up -d --no-deps --force-recreate --wait "$stack_service" || return 1
	done
	[ -z "$(get created)" ] || tell "the services that this run made are removed:$(get created). Their volumes stay, with what is in them"
	# shellcheck disable=SC2046 # service names, none with a space
	remove_services $(get created)
}
