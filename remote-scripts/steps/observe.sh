# shellcheck shell=sh
# observe: for a while real traffic goes to the new release with the old one still running. It must stay
# up, stay healthy, and answer real requests without more errors than allowed.

observe_do() {
	[ "$OBSERVE" != 0 ] || { note 'not observed' && return 0; }
	observe_service=$APP_SERVICE-$(get slot)
	observe_log=$run_dir/requests
	observe_new=" "
	for observe_id in $(containers "$observe_service"); do
		observe_new="$observe_new$(address "$observe_id"):$APP_PORT "
	done
	observe_proxy=$(proxy_container)
	# Made here: the follower opens it in its own time.
	: >"$observe_log"
	docker logs -f --tail 0 "$observe_proxy" >>"$observe_log" 2>/dev/null 9>&- &
	observe_follower=$!
	observe_watch
	observe_status=$?
	kill "$observe_follower" 2>/dev/null
	rm -f "$observe_log"
	return "$observe_status"
}

observe_watch() {
	deadline_in "$OBSERVE"
	observe_sick=0
	while :; do
		new_runs 'after the switch' || return 1
		observe_said=$(http_status "http://$(address "$observe_id"):$APP_PORT$HEALTH_PATH" "$HEALTH_HOST" "$HEALTH_REQUEST_TIMEOUT")
		if [ "$observe_said" = "$HEALTH_STATUS" ]; then observe_sick=0; else observe_sick=$((observe_sick + 1)); fi
		[ "$observe_sick" -lt 3 ] || {
			last_lines "$observe_id"
			fail "after the switch, $HEALTH_PATH answered $observe_said three times in a row, not $HEALTH_STATUS"
			return 1
		}
		observe_count
		[ "$observe_verdict" != bad ] || {
			last_lines "$observe_id"
			fail "the new release answered $observe_errors of $observe_requests real requests with an error; at most $MAX_ERROR_RATE of them are allowed"
			return 1
		}
		! past_deadline || break
		nap 0.5
	done
	case $observe_verdict in
	unknown) tell "$observe_requests requests are too few to judge its error rate (min-requests $MIN_REQUESTS): unknown, not good" ;;
	*) note "$observe_requests requests, $observe_errors answered with an error" ;;
	esac
}

# observe_count: requests that went to the new release first, those it failed, and the verdict.
# A line of the log: estiba RUN upstream-addresses|upstream-statuses
observe_count() {
	# shellcheck disable=SC2046 # three words
	set -- $(awk -F '|' -v run="estiba $RUN " -v ours="$observe_new" -v least="$MIN_REQUESTS" -v most="$MAX_ERROR_RATE" '
		index($0, run) == 1 {
			addresses = substr($1, length(run) + 1)
			split(addresses, address, ", ")
			if (!index(ours, " " address[1] " ")) next
			requests++
			split($2, status, ", ")
			if (status[1] !~ /^[1-4][0-9][0-9]$/) errors++
		}
		END {
			verdict = requests < least ? "unknown" : errors > requests * most ? "bad" : "good"
			print requests + 0, errors + 0, verdict
		}' "$observe_log")
	observe_requests=$1
	observe_errors=$2
	observe_verdict=$3
}

observe_undo() {
	return 0
}
