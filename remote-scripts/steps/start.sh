# shellcheck shell=sh
# start: the new release's apps run in the slot that does not serve. Nobody is sent to them yet.
# Deadline: (DRAIN_TIMEOUT + HEALTH_TIMEOUT) * apps + 300 seconds.
# A failure: undone, a migration too where it must be; the release before serves all the while.

start_do() {
	start_slot=$(get slot)
	# First: by it the undo knows that there is something to undo.
	put slot-before "$(pointed "$root/slots/$start_slot")" || return 1
	# What was warm in this slot makes room.
	rm -f "$state/warm"
	start_instead || return 1
	point "$root/slots/$start_slot" "../releases/$RELEASE" || return 1
	# Nobody is sent to containers that have not been looked at, whatever an earlier run left: where its undo failed, an edge may
	# still send people to this slot.
	for start_app in $APPS; do
		case $(get old-slot) in
		blue | green) [ ! -e "$edge/$start_app/state/slot.map" ] || edge_put "$start_app" slot slot "$(get old-slot)" || return 1 ;;
		esac
		edge_standby "$start_app" "$(get old-slot)" off || return 1
		edge_forget_times "$start_app" "$start_slot"
	done
	# What an earlier release left in this slot has stopped for good: its restart policy was taken away.
	# shellcheck disable=SC2046 # service names, none with a space
	remove_services $(slot_apps "$start_slot") $(slot_workers "$start_slot") || return 1
	# shellcheck disable=SC2046 # service names, none with a space
	compose "$RELEASE" "$start_slot" up -d --no-deps $(slot_apps "$start_slot") || fail "the app does not start" || return 1
	start_workers_too || return 1
	for start_service in $(slot_apps "$start_slot"); do
		for start_id in $(containers "$start_service" all); do
			printf '%s %s\n' "$start_id" "$(incarnation "$start_id")"
		done
	done | write_file "$run_dir/state/incarnations"
}

# On an empty server no worker runs yet, and an app may wait for one before it answers, as Flower does.
start_workers_too() {
	[ -z "$(get old-slot)" ] && [ -n "$WORKERS" ] || return 0
	put workers-too 1 || return 1
	# shellcheck disable=SC2046 # service names, none with a space
	compose "$RELEASE" "$start_slot" up -d --no-deps $(slot_workers "$start_slot") || fail 'the workers do not start'
}

# For an app that cannot run twice, the old release stops first; requests wait at its edge meanwhile.
start_instead() {
	[ "$STRATEGY" = recreate ] && [ -n "$(get old-slot)" ] || return 0
	start_alone=
	for start_app in $APPS; do
		app_read "$RELEASE" "$start_app" || return 1
		[ "$app_strategy" != recreate ] || start_alone="$start_alone $start_app"
	done
	# shellcheck disable=SC2086 # service names, none with a space
	start_running=$(old_running $start_alone $OLD_WORKERS) || engine_lost || return 1
	put parked "$start_alone" && put old-stopped "$start_running" || return 1
	for start_app in $start_alone; do
		[ -z "$(edge_container "$start_app")" ] || {
			edge_put "$start_app" fence fence park || return 1
			edge_drain "$start_app" "$(get old-slot)" "$DRAIN_TIMEOUT" || tell "some requests were still in flight after $DRAIN_TIMEOUT s"
		}
	done
	stop_containers "$start_running"
}

start_undo() {
	start_slot=$(get slot)
	[ -n "$start_slot" ] && has slot-before || return 0
	# shellcheck disable=SC2046 # service names, none with a space
	remove_services $(slot_apps "$start_slot") $(! has workers-too || slot_workers "$start_slot") || return 1
	point "$root/slots/$start_slot" "$(get slot-before | sed 's|^.|../releases/&|')" || return 1
	start_stopped || return 1
	start_unpark
}

# start_unpark: the old release answers again before the requests that wait are let through.
start_unpark() {
	has parked || return 0
	unpark_release=$EXPECT_CURRENT
	[ -e "$releases/${unpark_release:-none}/apps" ] || unpark_release=$RELEASE
	for start_app in $(get parked); do
		[ -e "$edge/$start_app/state/slot.map" ] || continue
		edge_put "$start_app" slot slot "$(get old-slot)" || return 1
		deadline_in "$HEALTH_TIMEOUT"
		until app_answers "$unpark_release" "$start_app" "$(get old-slot)"; do
			! past_deadline || break
			nap 0.2
		done
		edge_put "$start_app" fence fence "$(fence_wanted)" || return 1
	done
}
