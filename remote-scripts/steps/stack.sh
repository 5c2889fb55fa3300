# shellcheck shell=sh
# stack: the services behind the app (database, cache, backup) run. Those that run already are left alone,
# those that preflight found to be replaced on purpose are replaced.

stack_do() {
	stack_missing=
	stack_down=
	for stack_service in $STACK_SERVICES; do
		# What only seems to be missing would be removed by the undo.
		stack_there=$(containers "$stack_service" all) && stack_up=$(containers "$stack_service") || engine_lost || return 1
		[ -n "$stack_there" ] || stack_missing="$stack_missing $stack_service"
		[ -n "$stack_up" ] || stack_down="$stack_down $stack_service"
	done
	put created "$stack_missing"
	stack_shared || return 1
	# shellcheck disable=SC2086 # service names, none with a space
	[ -z "$stack_down" ] || compose "$RELEASE" "$(get slot)" up -d --no-recreate --no-deps --wait $stack_down ||
		stack_failed || return 1
	for stack_service in $(get replace); do
		[ "$stack_service" != "$PROXY_SERVICE" ] || continue
		put replaced "$(get replaced) $stack_service"
		tell "the container of $stack_service is replaced; what uses it may fail until the new one answers"
		compose "$RELEASE" "$(get slot)" up -d --no-deps --force-recreate --wait "$stack_service" || stack_failed || return 1
	done
}

stack_failed() {
	for stack_service in $STACK_SERVICES; do
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

# The folders that outlive releases. One that is new belongs to the image's user, who must write there.
# Where a stack from before estiba is taken over, a folder stays where it is and is linked to.
stack_shared() {
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
		stack_user=$(docker image inspect -f '{{.Config.User}}' "$IMAGE_ID" 9>&- 2>/dev/null)
		case $stack_user in
		'' | root | 0 | 0:0) continue ;;
		esac
		docker run --rm --network none --user 0 --entrypoint chown -v "$root/shared/$stack_folder:/folder" "$IMAGE_ID" \
			"$stack_user" /folder 9>&- || note "shared/$stack_folder could not be given to the image's user $stack_user"
	done
}

stack_legacy_folder() {
	[ "$(get old-slot)" = legacy ] || return 0
	for stack_id in $(containers "$APP_SERVICE") $(containers "$PROXY_SERVICE"); do
		docker inspect -f '{{range .Mounts}}{{if eq .Type "bind"}}{{println .Source}}{{end}}{{end}}' "$stack_id" 9>&-
	done | grep "/$1\$" | head -n 1
}

stack_undo() {
	for stack_service in $(get replaced); do
		tell "the container of $stack_service is replaced again, as it was before"
		compose "$EXPECT_CURRENT" "$(get old-slot)" up -d --no-deps --force-recreate --wait "$stack_service" || return 1
	done
	[ -z "$(get created)" ] || tell "the services that this run made are removed:$(get created). Their volumes stay, with what is in them"
	# shellcheck disable=SC2046 # service names, none with a space
	remove_services $(get created)
}
