# shellcheck shell=sh
# drain: once no request is in flight to it, the old release stops. Its containers stay, stopped, until the slot is used
# again.

drain_do() {
	drain_old=$(get old-slot)
	[ -n "$drain_old" ] || return 0
	# An upstream that names a slot that is stopped would keep the proxy from starting.
	! grep -q ' backup;' "$edge/estiba-upstreams.conf" || edge_switch "$RELEASE" "$(get slot)" || return 1
	edge_drain "$DRAIN_TIMEOUT" || tell "some connections to the old release were still open after $DRAIN_TIMEOUT s"
	# shellcheck disable=SC2046 # service names, none with a space
	stop_services $(old_services) || return 1
	drain_stays_down
	# shellcheck disable=SC2046 # service names, none with a space
	[ "$drain_old" != legacy ] || remove_services $(old_services)
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
