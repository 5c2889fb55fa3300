# shellcheck shell=sh
# start: the new release's app runs in the slot that does not serve. Nobody is sent to it yet.

start_do() {
	start_slot=$(get slot)
	# First: by it the undo knows that there is something to undo.
	put slot-before "$(pointed "$root/slots/$start_slot")" || return 1
	start_instead || return 1
	point "$root/slots/$start_slot" "../releases/$RELEASE" || return 1
	# What an earlier release left in this slot has stopped for good: its restart policy was taken away.
	# shellcheck disable=SC2046 # service names, none with a space
	remove_services "$APP_SERVICE-$start_slot" $(slot_workers "$start_slot") || return 1
	compose "$RELEASE" "$start_slot" up -d --no-deps "$APP_SERVICE-$start_slot" || fail "the app does not start" || return 1
	for start_id in $(containers "$APP_SERVICE-$start_slot" all); do
		printf '%s %s\n' "$start_id" "$(incarnation "$start_id")"
	done | write_file "$run_dir/state/incarnations"
}

# For an app that cannot run twice, the old release stops first.
start_instead() {
	[ "$STRATEGY" = recreate ] && [ -n "$(get old-slot)" ] || return 0
	# shellcheck disable=SC2046 # service names, none with a space
	start_running=$(running $(old_services)) || engine_lost || return 1
	put old-stopped "$start_running"
	# shellcheck disable=SC2046 # service names, none with a space
	stop_services $(old_services)
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
