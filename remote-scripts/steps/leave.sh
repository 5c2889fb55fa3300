# shellcheck shell=sh
# leave: the edges, the slots and what estiba keeps of them go; the stack is plain Compose's. Never undone: each part of it can be
# done again.
# Deadline: 300 seconds.
# A failure: finished, not undone: each part of it can be done again.

leave_do() {
	. "$here/steps/plain.sh"
	leave_slot=$(serving_slot)
	for leave_app in $APPS; do
		[ -n "$(edge_container "$leave_app" all)" ] || continue
		case " $(get plain-beside) " in
		*" $leave_app "*)
			edge_drain "$leave_app" "$leave_slot" "$DRAIN_TIMEOUT" || tell "$drain_open requests to $leave_app were still open after $DRAIN_TIMEOUT s and are cut now"
			leave_edge "$leave_app" || return 1
			;;
		*) leave_at_once "$leave_app" || return 1 ;;
		esac
	done
	# shellcheck disable=SC2046 # service names, none with a space
	leave_running=$(running $(slot_apps "$leave_slot") $(slot_workers "$leave_slot")) || engine_lost || return 1
	stop_containers "$leave_running" || return 1
	rm -f "$state/warm"
	for leave_one in blue green; do
		# shellcheck disable=SC2046 # service names, none with a space
		remove_services $(slot_apps "$leave_one") $(slot_workers "$leave_one") $(slot_jobs "$leave_one") || return 1
	done
	remove_services estiba-backup || return 1
	for leave_app in $APPS; do leave_name "$leave_app"; done
	# shellcheck disable=SC2086 # service names, none with a space
	[ -z "$WORKERS" ] || plain_compose up -d --no-deps --no-recreate $WORKERS || fail 'the workers do not start' || return 1
	proxies_unpin
	rm -rf "${static_root:?}" 2>/dev/null || static_run 'rm -rf /static/*' "$static_root:/static"
	rm -rf "${static_root:?}"
	docker network rm "${COMPOSE_PROJECT}_estiba" 9>&- >/dev/null 2>&1
	rm -f "$root/current" "$root/previous" "$root/slots/blue" "$root/slots/green" "$state/stack" "$state/edge-addresses"
	tell "plain Compose runs the stack now: cd $plain && docker compose up -d. Its data stays where it was, in $root/shared and in its volumes"
}

# leave_edge APP: its edge goes.
leave_edge() {
	for leave_id in $(edge_container "$1" all); do docker rm -f "$leave_id" 9>&- >/dev/null || return 1; done
	rm -rf "${edge:?}/$1"
}

# leave_at_once APP: the edge holds the port that the app publishes; or the app may not run twice.
leave_at_once() {
	[ -n "$(legacy_containers "$1" all)" ] || plain_create "$1" || return 1
	app_read "$RELEASE" "$1" || return 1
	uptime_cs
	leave_began=$uptime_cs
	if [ "$app_strategy" = recreate ]; then stop_services "$1-$leave_slot" || return 1; fi
	leave_edge "$1" && plain_start "$1" || return 1
	uptime_cs
	tell "$1 has its port again: it did not answer for $(((uptime_cs - leave_began) * 10)) ms"
}

# leave_name APP: its container has the name that Compose would give it.
leave_name() {
	leave_found=$(legacy_containers "$1" all)
	[ "$(printf '%s\n' "$leave_found" | grep -c .)" = 1 ] || return 0
	leave_wanted=$(plain_compose config --format json "$1" 2>/dev/null | sed -n 's/.*"container_name": *"\([^"]*\)".*/\1/p' | head -n 1)
	[ -z "$leave_wanted" ] || docker rename "$leave_found" "$leave_wanted" 9>&- 2>/dev/null
	return 0
}

leave_undo() {
	fail 'the eject began but could not be finished: run estiba eject again, or estiba deploy to take the stack over'
}
