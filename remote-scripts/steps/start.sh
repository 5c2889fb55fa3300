# shellcheck shell=sh
# start: the new release's app runs in the slot that does not serve. Nobody is sent to it yet.

start_do() {
	start_slot=$(get slot)
	# First: by it the undo knows that there is something to undo.
	put slot-before "$(pointed "$root/slots/$start_slot")" || return 1
	start_instead || return 1
	point "$root/slots/$start_slot" "../releases/$RELEASE" || return 1
	# What an earlier release left in this slot has stopped for good: its restart policy was taken away.
	start_clear || return 1
	compose "$RELEASE" "$start_slot" up -d --no-deps "$APP_SERVICE-$start_slot" || fail "the app does not start" || return 1
	for start_id in $(containers "$APP_SERVICE-$start_slot" all); do
		printf '%s %s\n' "$start_id" "$(incarnation "$start_id")"
	done | write_file "$run_dir/state/incarnations"
}

# For an app that cannot run twice, the old release stops first.
start_instead() {
	[ "$STRATEGY" = recreate ] && [ -n "$(get old-slot)" ] || return 0
	start_running=$(for start_service in $(old_services); do containers "$start_service" || exit 1; done) || engine_lost || return 1
	put old-stopped "$start_running"
	# shellcheck disable=SC2046 # service names, none with a space
	stop_services $(old_services)
}

start_clear() {
	for start_service in "$APP_SERVICE-$start_slot" $(for start_worker in $WORKERS; do echo "$start_worker-$start_slot"; done); do
		remove_services "$start_service" || return 1
	done
}

start_undo() {
	start_slot=$(get slot)
	[ -n "$start_slot" ] && has slot-before || return 0
	remove_services "$APP_SERVICE-$start_slot" || return 1
	point "$root/slots/$start_slot" "$(get slot-before | sed 's|^.|../releases/&|')" || return 1
	start_stopped || return 1
	# What `switch` leaves to this step for an app that cannot run twice.
	[ "$STRATEGY" = recreate ] && has switching && ! has proxy-created && [ -n "$EXPECT_CURRENT" ] || return 0
	edge_switch "$EXPECT_CURRENT" "$(get old-slot)"
}
