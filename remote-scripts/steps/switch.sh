# shellcheck shell=sh
# switch: the edges send everybody to the new release; the old one goes on running beside it. Should no container of the new
# one take connections any more, the old one stands in until this run is undone.
# Deadline: DRAIN_TIMEOUT * apps + 300 seconds.
# A failure: the edge goes back to the release before, which still runs; then undone.

switch_do() {
	switch_slot=$(get slot)
	switch_old=$(get old-slot)
	put static-published 1 && put_durably switching 1 || return 1
	# A release that was kept warm has its own files there still: people are sent back at once, and those files whose names the release
	# since has too are put back then.
	static_absent=
	switch_warm=
	case " $STEPS " in
	*' warm '*) switch_warm=1 ;;
	*) static_publish_all "$RELEASE" || return 1 ;;
	esac
	for switch_app in $(get edges-later); do
		switch_take_port "$switch_app" || return 1
	done
	for switch_app in $APPS; do
		switch_one "$switch_app" || return 1
	done
	[ -z "$switch_warm" ] || static_publish_all "$RELEASE" || return 1
	# What waits for an app starts when one serves.
	switch_others || return 1
	[ -z "$static_absent" ] || static_publish_all "$RELEASE" || return 1
	for switch_app in $APPS; do
		app_read "$RELEASE" "$switch_app" || return 1
		[ "$app_path" != - ] || continue
		deadline_in 5
		until switch_said=$(edge_status "$switch_app" "$app_path" "$app_host" 5) && [ "$switch_said" = "$app_status" ]; do
			! past_deadline || fail "through the edge of $switch_app, $app_path answers $switch_said, not $app_status" || return 1
			nap 0.3
		done
	done
	note "the edges serve $RELEASE in $switch_slot"
}

# switch_counts APP: what the edge counts from now on is what users got of the new release.
switch_counts() {
	switch_counted=$(edge_users "$1") || fail "the edge of $1 does not report its request count" || return 1
	put "counted.$1" "$switch_counted"
}

# switch_one APP
switch_one() {
	app_read "$RELEASE" "$1" && switch_counts "$1" || return 1
	switch_standby=off
	case $switch_old in
	blue | green) [ "$OBSERVE" = 0 ] || [ -z "$(containers "$1-$switch_old")" ] || switch_standby=on ;;
	esac
	edge_put "$1" release "$switch_slot" "$([ "$OBSERVE" = 0 ] && echo none || echo "$RELEASE")" &&
		edge_standby "$1" "$switch_slot" "$switch_standby" &&
		edge_put "$1" slot slot "$switch_slot" &&
		edge_put "$1" fence fence "$(fence_rest)" || return 1
	# Everybody is there now, whatever share they drew.
	case " $(get canary) " in *" $1 "*) edge_put "$1" canary slot none && edge_put "$1" share share 0 || return 1 ;; esac
	# Until here the edge itself has refused requests, which is no error of the release.
	! has fenced || switch_counts "$1"
}

# switch_take_port APP: an app from before estiba that publishes a port itself hands it to the edge: the old container stops,
# which takes as long as the app's own stop does, and the edge starts in its place.
switch_take_port() {
	switch_there=$(legacy_containers "$1") || engine_lost || return 1
	put old-stopped "$(get old-stopped) $switch_there" && put edges-made "$(get edges-made) $1" || return 1
	app_read "$RELEASE" "$1" && edge_folder "$1" "$RELEASE" || return 1
	echo "slot $switch_slot" | write_file "$edge/$1/state/slot.map" || return 1
	. "$here/steps/edge.sh"
	edge_create "$1" || return 1
	switch_edge=$(edge_container "$1" all)
	uptime_cs
	switch_began=$uptime_cs
	stop_containers "$switch_there" || return 1
	uptime_cs
	switch_stopped=$uptime_cs
	# Until it has found the new release's containers, requests wait.
	docker start "$switch_edge" 9>&- >/dev/null || fail "the edge of $1 does not start" || return 1
	uptime_cs
	switch_up=$uptime_cs
	edge_ready "$1" || edge_failed "$1" || return 1
	edge_knows "$1" "$switch_slot" 1 || fail "the edge of $1 does not reach the new release" || return 1
	tell "$1 was taken over: its port did not answer for $(((switch_stopped - switch_began) * 10)) ms while the app stopped, and for $(((switch_up - switch_stopped) * 10)) ms until the edge took requests"
	edge_trusts "$1" "$RELEASE"
}

# switch_others: the services of the stack that wait for an app run.
switch_others() {
	switch_down=
	for switch_service in $STACK_AFTER_APPS; do
		switch_there=$(containers "$switch_service" all) && switch_running=$(containers "$switch_service") || engine_lost || return 1
		[ -n "$switch_there" ] || put created-later "$(get created-later) $switch_service"
		[ -n "$switch_running" ] || switch_down="$switch_down $switch_service"
	done
	[ -n "$switch_down" ] || return 0
	# shellcheck disable=SC2086 # service names, none with a space
	compose "$RELEASE" "$switch_slot" up -d --no-recreate --no-deps --wait $switch_down && return 0
	for switch_service in $switch_down; do
		switch_id=$(containers "$switch_service" all | head -n 1)
		[ -z "$switch_id" ] || last_lines "$switch_id"
	done
	fail "the services that wait for the app do not start:$switch_down"
}

switch_undo() {
	has switching || return 0
	switch_old=$(get old-slot)
	[ -n "$switch_old" ] || switch_old=$(serving_slot)
	# shellcheck disable=SC2046 # service names, none with a space
	remove_services $(get created-later) || return 1
	for switch_app in $(get edges-later); do
		switch_edge=$(edge_container "$switch_app" all) || engine_lost || return 1
		for switch_id in $switch_edge; do docker rm -f "$switch_id" 9>&- >/dev/null || return 1; done
		rm -rf "${edge:?}/$switch_app"
	done
	[ -z "$(get edges-later)" ] || [ -n "$(get parked)" ] || start_stopped || return 1
	# Of an app that cannot run twice the new release stops first; `start` switches back.
	for switch_app in $APPS; do
		[ -e "$edge/$switch_app/state/slot.map" ] || continue
		case " $(get parked) " in *" $switch_app "*)
			edge_put "$switch_app" fence fence park && edge_put "$switch_app" release "$(get slot)" none || return 1
			continue
			;;
		esac
		# The old slot stands in for the new one until it serves again.
		edge_put "$switch_app" slot slot "${switch_old:-none}" && edge_standby "$switch_app" "$(get slot)" off &&
			edge_put "$switch_app" release "$(get slot)" none && edge_put "$switch_app" fence fence "$(fence_wanted)" || return 1
	done
	[ -z "$switch_old" ] || ! has static-published || static_publish_all "${EXPECT_CURRENT:-legacy}" || return 1
	for switch_app in $APPS; do
		case " $(get parked) " in *" $switch_app "*) continue ;; esac
		[ -e "$edge/$switch_app/state/slot.map" ] || continue
		[ -z "$switch_old" ] || edge_drain "$switch_app" "$(get slot)" "$DRAIN_TIMEOUT" ||
			note 'some requests to the new release were still in flight after the drain time'
	done
}
