# shellcheck shell=sh
# revive: before a run is undone, and at its end, whatever must run is started where it does
# not. An Engine that was killed takes all containers down when it comes back, and brings back none of those that are
# `restart: unless-stopped` (moby#41302).

revive_do() {
	revive_slot=$(get slot)
	revive_apps=
	revive_old=
	revive_serves=
	revive_serves_slot=
	if grep -qx 'began commit' "$run_dir/steps" 2>/dev/null && [ "$(pointed "$root/current")" = "$RELEASE" ]; then
		revive_apps="$(slot_apps "$revive_slot" | tr '\n' ' ') $(slot_workers "$revive_slot" | tr '\n' ' ')"
		revive_serves=$RELEASE
		revive_serves_slot=$revive_slot
	else
		# A run that ended in `preflight` has not written down which slot serves.
		has old-slot || put old-slot "$(serving_slot)"
		[ -n "$(get old-slot)" ] || return 0
		# What this run has stopped itself, the undo of its step starts again.
		case $(get old-slot) in
		legacy) has old-stopped || revive_old=$OLD_APPS ;;
		*)
			has old-stopped || revive_apps="$(old_apps | tr '\n' ' ')"
			revive_serves=$EXPECT_CURRENT
			revive_serves_slot=$(get old-slot)
			;;
		esac
		has old-stopped || has workers-stopped || revive_apps="$revive_apps $(old_workers | tr '\n' ' ')"
		! has switching || revive_apps="$revive_apps $(slot_apps "$revive_slot" | tr '\n' ' ')"
	fi
	# All at once. The edges and what stands before them find the rest by name.
	revive_pids=
	for revive_service in $STACK_SERVICES $STACK_AFTER_JOBS $revive_apps; do
		revive_start "$revive_service" "$(containers "$revive_service" all)" &
		revive_pids="$revive_pids $!"
	done
	for revive_service in $APPS; do
		revive_start "the edge of $revive_service" "$(edge_container "$revive_service" all)" &
		revive_pids="$revive_pids $!"
	done
	for revive_service in $revive_old; do
		revive_start "$revive_service" "$(legacy_containers "$revive_service" all)" &
		revive_pids="$revive_pids $!"
	done
	revive_status=0
	for revive_pid in $revive_pids; do wait "$revive_pid" || revive_status=1; done
	for revive_service in $STACK_AFTER_APPS; do
		revive_start "$revive_service" "$(containers "$revive_service" all)" || return 1
	done
	# A container that starts again may have another address than the one that a proxy looked up.
	proxies_follow
	return "$revive_status"
}

# revive_start WHAT CONTAINERS: those of them that do not run are started.
revive_start() {
	[ -n "$2" ] || revive_make "$1" || return 1
	for revive_id in $2; do
		[ "$(docker inspect -f '{{.State.Running}}' "$revive_id" 9>&-)" = false ] || continue
		! revive_was_down "$revive_id" || continue
		tell "$1 does not run; its container is started again"
		docker start "$revive_id" 9>&- >/dev/null || return 1
		: >"$run_dir/state/revived"
	done
}

# revive_make SERVICE: one of the release that serves, whose container somebody has taken away meanwhile, gets another one, of the same
# image and environment.
revive_make() {
	[ -n "$revive_serves" ] || return 0
	case $1 in
	*-"$revive_serves_slot") ;;
	*) return 0 ;;
	esac
	tell "$1 has no container any more; it is made again"
	compose "$revive_serves" "$revive_serves_slot" up -d --no-deps --no-recreate "$1"
}

# revive_was_down CONTAINER: did it stop before this run began? Beside a backup or a restore that is left as it was.
revive_was_down() {
	case $KIND in
	deploy | rollback) return 1 ;;
	esac
	[ "$(printf '%s\n' "$(docker inspect -f '{{.State.FinishedAt}}' "$1" 9>&-)" "$(get began)" | LC_ALL=C sort | tail -n 1)" = "$(get began)" ]
}
