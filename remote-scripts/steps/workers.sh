# shellcheck shell=sh
# workers: the services that follow the app change over. Unless `overlap` is set, the old ones have
# stopped before the new ones start, so that two versions never work side by side.
# Deadline: 300 seconds.
# A failure: the edge goes back to the release before, which still runs; then undone.

workers_do() {
	[ -n "$WORKERS$OLD_WORKERS" ] || { note 'the release has no workers' && return 0; }
	workers_slot=$(get slot)
	workers_old=$(get old-slot)
	if [ "$OVERLAP" != 1 ] && [ -n "$workers_old" ]; then
		# shellcheck disable=SC2046 # service names, none with a space
		workers_running=$(running $(old_workers)) || engine_lost || return 1
		put workers-stopped "$(printf '%s' "$workers_running" | tr '\n' ' ')"
		# shellcheck disable=SC2046 # service names, none with a space
		stop_services $(old_workers) || return 1
	fi
	[ -n "$WORKERS" ] || return 0
	put workers-started 1
	# shellcheck disable=SC2046 # service names, none with a space
	compose "$RELEASE" "$workers_slot" up -d --no-deps $(slot_workers "$workers_slot") ||
		fail 'the workers do not start' || return 1
	# A worker that fails at once does it within its first second.
	deadline_in 1
	until past_deadline; do
		for workers_id in $(workers_ids "$workers_slot" all); do
			case $(incarnation "$workers_id") in
			'running 0 '* | 'created '*) ;;
			*)
				last_lines "$workers_id"
				fail "a worker of the new release stopped by itself"
				return 1
				;;
			esac
		done
		nap 0.2
	done
}

workers_ids() {
	for workers_service in $(slot_workers "$1"); do containers "$workers_service" "${2:-}"; done | tr '\n' ' '
}

workers_undo() {
	# shellcheck disable=SC2046 # service names, none with a space
	! has workers-started || {
		stop_services $(slot_workers "$(get slot)")
		# shellcheck disable=SC2046 # service names, none with a space
		remove_services $(slot_workers "$(get slot)") || return 1
	}
	# shellcheck disable=SC2046 # ids, none with a space
	start_again $(get workers-stopped)
}
