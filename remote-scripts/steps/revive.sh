# shellcheck shell=sh
# revive: not a step of a deploy. Before a run is undone, and at its end, whatever must run is started where it does
# not. An Engine that was killed takes all containers down when it comes back, and brings back none of those that are
# `restart: unless-stopped` (moby#41302).

revive_do() {
	revive_slot=$(get slot)
	revive_apps=
	if grep -qx 'began commit' "$run_dir/steps" 2>/dev/null && [ "$(pointed "$root/current")" = "$RELEASE" ]; then
		revive_apps="$APP_SERVICE-$revive_slot $(slot_workers "$revive_slot" | tr '\n' ' ')"
		# Until `drain` the proxy still names the old release, and does not start without it.
		! grep -q ' backup;' "$edge/estiba-upstreams.conf" 2>/dev/null || revive_apps="$revive_apps $(old_app)"
	else
		# A run that ended in `preflight` has not written down which slot serves.
		has old-slot || put old-slot "$(serving_slot)"
		[ -n "$(get old-slot)" ] || return 0
		# What this run has stopped itself, the undo of its step starts again.
		has old-stopped || revive_apps="$(old_app)"
		has old-stopped || has workers-stopped || revive_apps="$revive_apps $(old_workers | tr '\n' ' ')"
		! has switching || revive_apps="$revive_apps $APP_SERVICE-$revive_slot"
	fi
	# All at once, but the proxy last: it does not start before the names in its configuration are known.
	revive_pids=
	for revive_service in $STACK_SERVICES $revive_apps; do
		revive_start "$revive_service" &
		revive_pids="$revive_pids $!"
	done
	revive_status=0
	for revive_pid in $revive_pids; do wait "$revive_pid" || revive_status=1; done
	revive_start "$PROXY_SERVICE" || return 1
	# A container that starts again may have another address than the one that the proxy looked up.
	! has revived || edge_renew
	return "$revive_status"
}

# revive_start SERVICE: its containers that do not run are started; a service without any is left alone.
revive_start() {
	revive_found=$(containers "$1" all) || return 1
	for revive_id in $revive_found; do
		[ "$(docker inspect -f '{{.State.Running}}' "$revive_id" 9>&-)" = false ] || continue
		! revive_was_down "$revive_id" || continue
		tell "$1 does not run; its container is started again"
		docker start "$revive_id" 9>&- >/dev/null || return 1
		: >"$run_dir/state/revived"
	done
}

# revive_was_down CONTAINER: did it stop before this run began? Beside a backup or a restore that is left as it was.
revive_was_down() {
	case $KIND in
	deploy | rollback) return 1 ;;
	esac
	[ "$(printf '%s\n' "$(docker inspect -f '{{.State.FinishedAt}}' "$1" 9>&-)" "$(get began)" | LC_ALL=C sort | tail -n 1)" = "$(get began)" ]
}
