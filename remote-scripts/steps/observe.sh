# shellcheck shell=sh
# observe: for a while real traffic goes to the new release with the old one still running. Its containers must stay up and
# healthy, and its apps must answer real requests without more errors than allowed, as their edges count them.
# Deadline: OBSERVE + 60 seconds.
# A failure: the edge goes back to the release before, which still runs; then undone.

observe_do() {
	[ "$OBSERVE" != 0 ] || { note 'not observed' && return 0; }
	observe_closed=
	[ "$(fence_rest)" = off ] || { observe_closed=1 && tell 'maintenance is on, so no real requests come: they are not judged'; }
	observe_slot=$(get slot)
	uptime_cs
	observe_end=$((uptime_cs + OBSERVE * 100))
	while :; do
		new_runs 'after the switch' || return 1
		observe_requests=0
		observe_errors=0
		for observe_app in $APPS; do
			watch_health "$observe_app" "$observe_slot" 'after the switch' && observe_count "$observe_app" || return 1
		done
		uptime_cs
		# shellcheck disable=SC2086 # names of services
		# One that does not answer when the time is over is looked at until it does, or has failed.
		[ "$uptime_cs" -lt "$observe_end" ] || watch_is_sick $APPS || break
		nap 0.5
	done
	if [ -n "$observe_closed" ]; then
		put not-judged 'maintenance is on'
	elif [ "$observe_requests" -lt "$MIN_REQUESTS" ]; then
		tell "$observe_requests requests came, fewer than min-requests ($MIN_REQUESTS): the error rate was not judged"
		put not-judged "$observe_requests requests while it was observed, and min-requests is $MIN_REQUESTS"
	else
		note "$observe_requests requests, $observe_errors answered with an error"
	fi
	for observe_app in $APPS; do
		app_read "$RELEASE" "$observe_app" || return 1
		[ -n "$(app_http_ports)" ] || tell "$observe_app speaks no HTTP: its answers are not judged"
	done
}

# observe_count APP: what users got since the switch, added to the whole; a share of errors that is too large is a failure.
observe_count() {
	app_read "$RELEASE" "$1" || return 1
	[ -n "$(app_http_ports)" ] && [ -z "$observe_closed" ] || return 0
	observe_now=$(edge_users "$1") || {
		# It may be starting again; then its counters begin anew.
		edge_again "$1" || fail "the edge of $1 does not report users' answers" || return 1
		observe_now='0 0'
	}
	observe_before=$(get "counted.$1" | grep . || echo '0 0')
	# shellcheck disable=SC2086 # numbers
	set -- "$1" $observe_now $observe_before
	[ "$2" -ge "$4" ] || set -- "$1" "$2" "$3" 0 0
	observe_own=$(($2 - $4))
	observe_own_errors=$(($3 - $5))
	observe_requests=$((observe_requests + observe_own))
	observe_errors=$((observe_errors + observe_own_errors))
	[ "$observe_own" -ge "$MIN_REQUESTS" ] || return 0
	awk -v errors="$observe_own_errors" -v requests="$observe_own" -v most="$MAX_ERROR_RATE" 'BEGIN { exit !(errors > requests * most) }' || return 0
	observe_id=$(containers "$1-$observe_slot" | head -n 1)
	[ -z "$observe_id" ] || last_lines "$observe_id"
	fail "$1 answered $observe_own_errors of $observe_own real requests with an error; at most $MAX_ERROR_RATE of them are allowed"
}

observe_undo() {
	return 0
}
