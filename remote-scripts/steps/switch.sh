# shellcheck shell=sh
# switch: the proxy sends everybody to the new release; the old one goes on running behind it.

switch_do() {
	switch_slot=$(get slot)
	switch_old=$(get old-slot)
	switch_backup=$switch_old
	# A slot that does not run cannot stand in, and its name would stop the proxy.
	[ -n "$switch_old" ] && [ -n "$(containers "$(old_app)")" ] || switch_backup=
	[ "$OBSERVE" != 0 ] || switch_backup=
	put switching 1
	switch_running=$(proxy_container) || engine_lost || return 1
	if [ -n "$switch_running" ] && ! switch_replaces; then
		edge_switch "$RELEASE" "$switch_slot" "$switch_backup" || return 1
	else
		switch_proxy || return 1
	fi
	switch_said=$(edge_health)
	[ "$switch_said" = "$HEALTH_STATUS" ] ||
		fail "through the proxy, $HEALTH_PATH answers $switch_said, not $HEALTH_STATUS" || return 1
	note "the proxy serves $RELEASE in $switch_slot"
}

switch_replaces() {
	case " $(get replace) " in
	*" $PROXY_SERVICE "*) return 0 ;;
	esac
	return 1
}

# switch_proxy: a proxy container is made, where there is none yet or it is replaced on purpose.
# Its configuration is tested in a container of the same service first.
switch_proxy() {
	# What only seems to be missing would be removed by the undo.
	switch_there=$(containers "$PROXY_SERVICE" all) || engine_lost || return 1
	if [ -z "$switch_there" ]; then
		put proxy-created 1
	else
		put proxy-replaced "$(switch_origin)"
	fi
	edge_fill "$edge.next" "$RELEASE" "$switch_slot" "$switch_backup" && edge_install "$edge.next" "$RELEASE" || return 1
	rm -rf "$edge.next"
	compose "$RELEASE" "$switch_slot" run --rm --no-deps -T --label "estiba.run=$RUN" "$PROXY_SERVICE" nginx -t 2>&1 ||
		fail "the proxy refuses the configuration of $RELEASE: nginx -t failed" || return 1
	put proxy-touched 1
	compose "$RELEASE" "$switch_slot" up -d --no-deps --force-recreate --timeout 1 "$PROXY_SERVICE" ||
		fail 'the proxy does not start' || return 1
	edge_serves "$RELEASE" "$switch_slot" && return 0
	last_lines "$(containers "$PROXY_SERVICE" all | head -n 1)"
	fail 'the proxy does not answer within 15 s'
}

# Where a stack from before estiba came from: its folder and its Compose files, as Compose noted them.
switch_origin() {
	docker inspect -f '{{index .Config.Labels "com.docker.compose.project.working_dir"}}
{{index .Config.Labels "com.docker.compose.project.config_files"}}' "$(containers "$PROXY_SERVICE" all | head -n 1)" 9>&-
}

switch_undo() {
	has switching || return 0
	switch_old=$(get old-slot)
	# An app that cannot run twice: `start` takes the new one away first, and then switches back itself.
	[ "$STRATEGY" != recreate ] || [ -z "$switch_old" ] || return 0
	if has proxy-created; then
		remove_services "$PROXY_SERVICE"
		rm -rf "$edge.next" && mkdir -p "$edge" && find "$edge" -mindepth 1 -delete
	elif [ -z "$switch_old" ]; then
		return 0
	elif has proxy-replaced; then
		! has proxy-touched || switch_proxy_back || return 1
	else
		edge_switch "$EXPECT_CURRENT" "$switch_old" || return 1
		edge_drain "$DRAIN_TIMEOUT" || note 'some requests to the new release were still in flight after the drain time'
	fi
}

switch_proxy_back() {
	if [ "$switch_old" = legacy ]; then
		{ read -r switch_dir && IFS= read -r switch_files; } <"$run_dir/state/proxy-replaced"
		switch_set_ifs=$IFS
		IFS=,
		set --
		for switch_file in $switch_files; do set -- "$@" -f "$switch_file"; done
		IFS=$switch_set_ifs
		docker_alone compose --ansi never -p "$COMPOSE_PROJECT" --project-directory "$switch_dir" "$@" \
			up -d --no-deps --force-recreate --timeout 1 "$PROXY_SERVICE" 9>&-
	else
		edge_fill "$edge.next" "$EXPECT_CURRENT" "$switch_old" && edge_install "$edge.next" "$EXPECT_CURRENT" || return 1
		compose "$EXPECT_CURRENT" "$switch_old" up -d --no-deps --force-recreate --timeout 1 "$PROXY_SERVICE" &&
			edge_serves "$EXPECT_CURRENT" "$switch_old"
	fi
}
