# shellcheck shell=sh
# plain: the stack's files as plain Compose reads them, in <root>/plain; and each app once more, as it is there, beside its edge.
# The proxies in front find that one from here on. An app that publishes a port, or may not run twice, changes in `leave`.
# Deadline: 300 seconds.
# A failure: undone; the release serves all the while.

plain=$root/plain

# plain_compose ARG…: Compose on that folder, as the team calls it.
plain_compose() {
	(cd "$plain" && docker_alone compose --ansi never -p "$COMPOSE_PROJECT" --env-file "$plain/.env" -f "$plain/compose.yml" \
		${compose_more:+-f "$compose_more"} "$@" 9>&-)
}

plain_do() {
	plain_write || fail "the folder $plain cannot be written" || return 1
	plain_compose config -q || fail 'Compose rejects the files in plain; its output is above' || return 1
	for plain_app in $APPS; do
		app_read "$RELEASE" "$plain_app" || return 1
		if [ "$app_place" = published ] || [ "$app_strategy" = recreate ]; then continue; fi
		put plain-beside "$(get plain-beside) $plain_app" || return 1
		# While two have the name, the proxies find the edge, until the other one answers.
		proxies_pin "$plain_app" "$(edge_container "$plain_app")"
	done
	[ -z "$(get plain-beside)" ] || proxies_settle
	for plain_app in $(get plain-beside); do plain_create "$plain_app" && plain_start "$plain_app" || return 1; done
	proxies_unpin
	for plain_app in $(get plain-beside); do proxies_pin "$plain_app" "$(legacy_containers "$plain_app" | head -n 1)"; done
	[ -z "$(get plain-beside)" ] || proxies_look_again
}

# plain_write: the files of the release that serves, and its values, in one folder.
plain_write() {
	[ -e "$releases/$RELEASE/files/plain.yml" ] ||
		fail "release $RELEASE was made by an estiba that could not eject: deploy once, then eject" || return 1
	# The files have the modes that containers need; the folder around them keeps everybody else out.
	rm -rf "$plain.new" && (umask 077 && mkdir "$plain.new") && cp -Rp "$releases/$RELEASE/files/." "$plain.new/" && chmod 0700 "$plain.new" || return 1
	rm -f "$plain.new/stack.yml" "$plain.new/slot-blue.yml" "$plain.new/slot-green.yml"
	mv "$plain.new/plain.yml" "$plain.new/compose.yml" || return 1
	(
		umask 077
		[ "$ENV_FILE" != .env ] || mv "$plain.new/.env" "$plain.new/values"
		cat "$plain.new/$([ "$ENV_FILE" = .env ] && echo values || echo "$ENV_FILE")" "$releases/$RELEASE/estiba.env" >"$plain.new/.env"
		rm -f "$plain.new/values"
	) || return 1
	[ ! -e "$plain" ] || rm -rf "$plain" || return 1
	mv "$plain.new" "$plain"
}

# plain_create APP: its containers, beside the edge that has its name. They do not run yet.
plain_create() {
	plain_count=$(($(containers "$1-$(serving_slot)" | grep -c .) + $(edge_container "$1" all | grep -c .)))
	printf 'services:\n  %s:\n    container_name: !reset null\n' "$1" >"$run_dir/state/beside.yml"
	compose_more=$run_dir/state/beside.yml
	plain_compose create --no-recreate --scale "$1=$plain_count" "$1"
	plain_status=$?
	compose_more=
	[ "$plain_status" = 0 ] || fail "the container of $1 cannot be made"
}

# plain_start APP: they run, and answer as the app's health says.
plain_start() {
	app_read "$RELEASE" "$1" || return 1
	for plain_id in $(legacy_containers "$1" all); do
		docker start "$plain_id" 9>&- >/dev/null || fail "the container of $1 does not start" || return 1
	done
	deadline_in "$HEALTH_TIMEOUT"
	for plain_id in $(legacy_containers "$1"); do
		until plain_answers "$plain_id"; do
			past_deadline || { nap 0.3 && continue; }
			last_lines "$plain_id"
			fail "the container of $1 does not answer $app_path with $app_status" || return 1
		done
	done
}

# plain_answers CONTAINER: does it answer as the health of the app that was read last says? One that speaks no HTTP runs.
plain_answers() {
	[ "$(docker inspect -f '{{.State.Running}}' "$1" 9>&-)" = true ] || return 1
	[ "$app_path" != - ] || return 0
	[ "$(http_status "http://$(address "$1"):$app_port$app_path" "$app_host" "$HEALTH_REQUEST_TIMEOUT")" = "$app_status" ]
}

plain_undo() {
	# Then it is what serves.
	! grep -qx 'began leave' "$run_dir/steps" || return 0
	if [ -n "$(get plain-beside)" ]; then
		proxies_unpin
		for plain_app in $(get plain-beside); do proxies_pin "$plain_app" "$(edge_container "$plain_app")"; done
		proxies_look_again || return 1
		for plain_app in $(get plain-beside); do
			for plain_id in $(legacy_containers "$plain_app" all); do
				docker stop "$plain_id" 9>&- >/dev/null
				docker rm -f "$plain_id" 9>&- >/dev/null || return 1
			done
		done
		proxies_unpin
	fi
	rm -rf "${plain:?}"
}
