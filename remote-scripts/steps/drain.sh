# shellcheck shell=sh
# drain: once no request is in flight to it, the old release stops. Its containers stay, stopped, until the slot is used
# again.

drain_do() {
	drain_old=$(get old-slot)
	[ -n "$drain_old" ] || return 0
	drain_new_serves || return 1
	# Until here the old release stood in for the new one. An upstream that names a slot that is stopped would keep the
	# proxy from starting.
	! grep -q ' backup;' "$edge/estiba-upstreams.conf" || edge_switch "$RELEASE" "$(get slot)" || return 1
	edge_drain "$DRAIN_TIMEOUT" || tell "some connections to the old release were still open after $DRAIN_TIMEOUT s"
	# shellcheck disable=SC2046 # service names, none with a space
	stop_services $(old_services) || return 1
	drain_stays_down
	# shellcheck disable=SC2046 # service names, none with a space
	[ "$drain_old" != legacy ] || remove_services $(old_services)
}

# drain_new_serves: from here on nothing stands in for the new release, which may have stopped since it was looked at.
drain_new_serves() {
	drain_found=$(containers "$APP_SERVICE-$(get slot)") || engine_lost || return 1
	[ -n "$drain_found" ] || fail 'the new release does not run any more' || return 1
	deadline_in "$HEALTH_TIMEOUT"
	for drain_id in $drain_found; do
		until [ "$(http_status "http://$(address "$drain_id"):$APP_PORT$HEALTH_PATH" "$HEALTH_HOST" "$HEALTH_REQUEST_TIMEOUT")" = "$HEALTH_STATUS" ]; do
			! past_deadline || fail "the new release does not answer $HEALTH_PATH with $HEALTH_STATUS" || return 1
			nap 0.2
		done
	done
}

# By the team's own restart policy the Engine might start them again when it starts. `start` makes new ones.
drain_stays_down() {
	for drain_service in $(old_services); do
		for drain_id in $(containers "$drain_service" all); do
			docker update --restart no "$drain_id" 9>&- >/dev/null || note "the restart policy of $drain_id could not be changed"
		done
	done
}

drain_undo() {
	return 0
}
