# shellcheck shell=sh
# edge: in front of each app stands its edge, in a container of its own, under the app's name. Made on the first deploy, and
# left alone afterwards. Where the app runs from before estiba, behind a proxy, the name moves from its container to the edge
# here, and that container goes on serving behind it; where it publishes a port itself, `switch` does that.
# Deadline: DRAIN_TIMEOUT * apps + 300 seconds.
# A failure: undone; the release before serves all the while.

edge_do() {
	for edge_app in $APPS; do
		edge_one "$edge_app" || return 1
	done
	edge_take_over || return 1
	[ -z "$EXPECT_CURRENT" ] || proxies_follow
}

edge_one() {
	app_read "$RELEASE" "$1" || fail "release $RELEASE has no app $1" || return 1
	edge_there=$(edge_container "$1" all) && edge_up=$(edge_container "$1") || engine_lost || return 1
	if [ -n "$edge_there" ]; then
		edge_kept "$1"
		return
	fi
	edge_old=$(legacy_containers "$1") || engine_lost || return 1
	if [ -n "$edge_old" ] && [ "$app_place" = published ]; then
		# The old container holds the port of the host.
		put edges-later "$(get edges-later) $1"
		note "the edge of $1 is made when it takes over its port"
		return 0
	fi
	put edges-made "$(get edges-made) $1" || return 1
	edge_folder "$1" "$RELEASE" || fail "the folder of the edge of $1 cannot be written" || return 1
	# It serves what serves already from its first moment on.
	edge_serving=
	case $(get old-slot) in
	legacy) [ -z "$edge_old" ] || edge_serving=legacy ;;
	blue | green) [ -z "$(containers "$1-$(get old-slot)")" ] || edge_serving=$(get old-slot) ;;
	esac
	echo "slot ${edge_serving:-none}" | write_file "$edge/$1/state/slot.map" || return 1
	edge_make "$1" || return 1
	case $edge_serving in
	'') return 0 ;;
	legacy)
		edge_knows "$1" legacy 1 || fail "the edge of $1 does not reach the container that ran before estiba" || return 1
		put edges-taken "$(get edges-taken) $1"
		;;
	*) edge_knows "$1" "$edge_serving" 1 || fail "the edge of $1 does not reach the release that serves" ;;
	esac
}

# edge_kept APP: it is there. It is replaced only where that is meant.
edge_kept() {
	case " $(get replace) " in
	*" $1 "*)
		put edges-replaced "$(get edges-replaced) $1" || return 1
		tell "the edge of $1 is replaced; requests fail until the new one is up"
		edge_folder "$1" "$RELEASE" || fail "the folder of the edge of $1 cannot be written" || return 1
		compose "$RELEASE" "$(get slot)" up -d --no-deps --force-recreate --timeout 2 "$1" || fail "the edge of $1 does not start" || return 1
		;;
	*)
		# The page is read when it is shown.
		cmp -s "$releases/$RELEASE/edge/$1/maintenance.html" "$edge/$1/maintenance.html" || [ ! -e "$releases/$RELEASE/edge/$1/maintenance.html" ] ||
			write_file "$edge/$1/maintenance.html" <"$releases/$RELEASE/edge/$1/maintenance.html" || return 1
		[ -n "$edge_up" ] || {
			tell "the edge of $1 does not run; it is started again"
			docker start "$edge_there" 9>&- >/dev/null || fail "the edge of $1 does not start" || return 1
		}
		;;
	esac
	edge_ready "$1" || edge_failed "$1" || return 1
	edge_trusts "$1" "$RELEASE"
}

# edge_make APP: the edge, beside the containers that have that name from before. Compose takes those for the same service, so
# that the edge is one more of it; it starts once it can reach what serves.
edge_make() {
	docker run --rm --network none --read-only -v "$edge/$1:$edge_inside" --user "$(sed -n 's/^ESTIBA_USER=//p' "$releases/$RELEASE/estiba.env")" --entrypoint haproxy \
		"$(edge_image_id)" -c -f "$edge_inside/haproxy.cfg" 9>&- >"$run_dir/state/edge.said" 2>&1 || {
		cat "$run_dir/state/edge.said"
		fail "HAProxy rejects the configuration of the edge of $1"
		return 1
	}
	edge_create "$1" || return 1
	edge_new=$(edge_container "$1" all) || engine_lost || return 1
	case $edge_serving in
	'') ;;
	*)
		for edge_id in $(slot_containers "$1" "$edge_serving"); do
			edge_connect "$edge_id" "$1-$edge_serving.$COMPOSE_PROJECT.estiba" || return 1
		done
		# While two have the name, the proxies find the old one, until the edge has found it.
		[ "$edge_serving" != legacy ] || proxies_pin "$1" "$(printf '%s\n' "$edge_old" | head -n 1)"
		proxies_settle
		;;
	esac
	docker start "$edge_new" 9>&- >/dev/null || fail "the edge of $1 does not start" || return 1
	edge_ready "$1" || edge_failed "$1" || return 1
	edge_trusts "$1" "$RELEASE"
}

# edge_create APP: its container, which does not run yet.
edge_create() {
	create_old=$(legacy_containers "$1" all) || engine_lost || return 1
	create_count=$(printf '%s\n' "$create_old" | grep -c .)
	if [ "$create_count" != 0 ]; then
		printf 'services:\n  %s:\n    container_name: !reset null\n' "$1" >"$run_dir/state/beside.yml"
		compose_more=$run_dir/state/beside.yml
	fi
	compose "$RELEASE" "$(get slot)" create --no-recreate --scale "$1=$((create_count + 1))" "$1"
	create_status=$?
	compose_more=
	[ "$create_status" = 0 ] || fail "the edge of $1 cannot be made"
}

edge_failed() {
	edge_dead=$(edge_container "$1" all | head -n 1)
	[ -z "$edge_dead" ] || last_lines "$edge_dead"
	fail "the edge of $1 does not answer"
}

# edge_take_over: the old containers serve behind the edges; the proxies look all the names up again, once.
edge_take_over() {
	has edges-taken || return 0
	proxies_unpin
	for taken_app in $(get edges-taken); do proxies_pin "$taken_app" "$(edge_container "$taken_app")"; done
	[ -z "$(proxies_running)" ] ||
		tell "the names of the apps move to the edges:$(get edges-taken). The proxies in front look them up again, which closes idle connections once"
	proxies_look_again
}

# edge_connect CONTAINER NAME: it is on the edges' network under that name.
edge_connect() {
	docker inspect -f '{{range $name, $network := .NetworkSettings.Networks}}{{println $name}}{{end}}' "$1" 9>&- |
		grep -qx "${COMPOSE_PROJECT}_estiba" && return 0
	docker network connect --alias "$2" "${COMPOSE_PROJECT}_estiba" "$1" 9>&- || fail "the container $1 cannot be put on the edges' network"
}

# edge_image_id: the image that all edges of this root run.
edge_image_id() {
	sed -n 's/^ESTIBA_EDGE_IMAGE=//p' "$releases/$RELEASE/estiba.env"
}

edge_undo() {
	# The proxies look the old names up before the edges go.
	if has edges-taken; then
		proxies_unpin
		for edge_app in $(get edges-taken); do
			[ -z "$(edge_container "$edge_app")" ] || proxies_pin "$edge_app" "$(legacy_containers "$edge_app" | head -n 1)"
		done
		proxies_look_again || return 1
	fi
	for edge_app in $(get edges-made); do
		edge_left=$(edge_container "$edge_app" all) || engine_lost || return 1
		[ -z "$edge_left" ] || tell "the edge of $edge_app, which this run made, is removed"
		case " $(get edges-taken) " in
		*" $edge_app "*) edge_drain "$edge_app" legacy "$DRAIN_TIMEOUT" || note 'some requests were still in flight' ;;
		esac
		for edge_id in $edge_left; do docker rm -f "$edge_id" 9>&- >/dev/null || return 1; done
		rm -rf "${edge:?}/$edge_app"
	done
	proxies_unpin
	for edge_app in $(get edges-replaced); do
		tell "the edge of $edge_app is replaced again, as it was before"
		edge_folder "$edge_app" "$EXPECT_CURRENT" || return 1
		compose "$EXPECT_CURRENT" "$(get old-slot)" up -d --no-deps --force-recreate --timeout 2 "$edge_app" && edge_ready "$edge_app" || return 1
	done
	! has edges-replaced || proxies_follow
}
