# shellcheck shell=sh
# drain: once no request is in flight to it, the old release stops. Its containers stay, stopped, until the slot is used
# again.
# Deadline: (DRAIN_TIMEOUT + HEALTH_TIMEOUT) * apps + 120 seconds.
# A failure: finished, not undone: the new release serves.

drain_do() {
	drain_slot=$(get old-slot)
	for drain_app in $APPS; do
		drain_new_serves "$drain_app" || return 1
		# Until here the old release stood in for the new one.
		edge_standby "$drain_app" "$(get slot)" off && edge_put "$drain_app" release "$(get slot)" none || return 1
	done
	[ -n "$drain_slot" ] || return 0
	if drain_keeps_warm; then
		drain_warm
		return
	fi
	for drain_app in $OLD_APPS; do
		[ -n "$(edge_container "$drain_app")" ] || continue
		edge_drain "$drain_app" "$drain_slot" "$DRAIN_TIMEOUT" ||
			tell "$drain_open requests or open streams to the old release of $drain_app were still open after $DRAIN_TIMEOUT s and are cut now"
	done
	drain_running=$(old_running) || engine_lost || return 1
	stop_containers "$drain_running" || return 1
	drain_stays_down
	[ "$drain_slot" = legacy ] || return 0
	for drain_app in $OLD_APPS; do
		for drain_id in $(legacy_containers "$drain_app" all); do docker rm -f "$drain_id" 9>&- >/dev/null || return 1; done
		drain_name "$drain_app"
	done
	# shellcheck disable=SC2046 # service names, none with a space
	remove_services $(old_workers) || return 1
	proxies_unpin
}

# drain_keeps_warm: is the old release to go on running for a while? What else of the stack this run has changed, a switch would not
# bring back.
drain_keeps_warm() {
	[ "$KEEP_WARM" != 0 ] || return 1
	case $drain_slot in blue | green) ;; *) return 1 ;; esac
	drain_cold=
	if [ -e "$run_dir/stack.before" ] || [ -n "$(get replaced)$(get edges-made)$(get edges-replaced)" ]; then
		drain_cold='the stack has changed with this release'
	elif [ -n "$(get parked)" ]; then
		drain_cold='an app of it may not run twice'
	elif [ "$(printf '%s\n' "$APPS" | xargs -n 1 | sort)" != "$(printf '%s\n' "$OLD_APPS" | xargs -n 1 | sort)" ]; then
		drain_cold='it has other apps'
	fi
	[ -z "$drain_cold" ] || {
		tell "the release before is not kept warm: $drain_cold"
		return 1
	}
}

# drain_warm: the old release's apps stay as they are. Its workers have stopped; a rollback makes new ones.
drain_warm() {
	# shellcheck disable=SC2046 # service names, none with a space
	remove_services $(old_workers) || return 1
	printf '%s %s %s %s\n' "$EXPECT_CURRENT" "$drain_slot" "$(($(date +%s) + KEEP_WARM))" "$RUN" | write_file "$state/warm" || return 1
	warm_timer "$RUN"
	tell "the release before stays warm for $KEEP_WARM s: until then a rollback to it is a switch"
}

# drain_name APP: the edge gets the name that the Compose file gives the container, now that it is free.
drain_name() {
	drain_wanted=$(compose "$RELEASE" "$(get slot)" config --format json "$1" 2>/dev/null | sed -n 's/.*"container_name": *"\([^"]*\)".*/\1/p' | head -n 1)
	drain_edge=$(edge_container "$1" | head -n 1)
	[ -z "$drain_wanted" ] || [ -z "$drain_edge" ] || docker rename "$drain_edge" "$drain_wanted" 9>&- 2>/dev/null
	return 0
}

# drain_new_serves APP: from here on nothing stands in for the new release, which may have stopped since it was looked at.
drain_new_serves() {
	drain_found=$(containers "$1-$(get slot)") || engine_lost || return 1
	[ -n "$drain_found" ] || fail "the new release of $1 does not run any more" || return 1
	deadline_in "$HEALTH_TIMEOUT"
	until app_answers "$RELEASE" "$1" "$(get slot)"; do
		! past_deadline || fail "the new release of $1 does not answer $app_path with $app_status" || return 1
		nap 0.2
	done
}

# By the team's own restart policy the Engine might start them again when it starts. `start` makes new ones.
drain_stays_down() {
	for drain_service in $(old_services); do
		case $drain_slot in legacy) continue ;; esac
		for drain_id in $(containers "$drain_service" all); do
			docker update --restart no "$drain_id" 9>&- >/dev/null || note "the restart policy of $drain_id could not be changed"
		done
	done
}

drain_undo() {
	return 0
}
