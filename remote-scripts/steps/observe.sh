# shellcheck shell=sh
# observe: for a while real traffic goes to the new release with the old one still running. Its containers must stay up and
# healthy, and its apps must answer real requests as well as the release before did, as their edges count them: the judgement is a
# canary's. So must what the team measures of it.
# Deadline: OBSERVE + 90 seconds.
# A failure: the edge goes back to the release before, which still runs; then undone.

observe_do() {
	[ "$OBSERVE" != 0 ] || { note 'not observed' && return 0; }
	observe_closed=
	[ "$(fence_rest)" = off ] || { observe_closed=1 && tell 'maintenance is on, so no real requests come: they are not judged'; }
	observe_slot=$(get slot)
	metrics_begin
	for observe_app in $APPS; do
		observe_begin "$observe_app" || return 1
	done
	uptime_cs
	observe_end=$((uptime_cs + OBSERVE * 100))
	# A doubt has so much longer to be settled.
	observe_limit=$((observe_end + 3000))
	while :; do
		new_runs 'after the switch' || return 1
		observe_requests=0
		observe_errors=0
		observe_doubt=
		for observe_app in $APPS; do
			watch_health "$observe_app" "$observe_slot" 'after the switch' && observe_count "$observe_app" || return 1
		done
		[ -n "$observe_closed" ] || metrics_look || return 1
		uptime_cs
		# shellcheck disable=SC2086 # names of services
		# One that does not answer when the time is over is looked at until it does, or has failed.
		if [ "$uptime_cs" -ge "$observe_end" ] && ! watch_is_sick $APPS; then
			observe_wrong=$(metrics_wrong)
			[ "$observe_requests" -ge "$MIN_REQUESTS" ] || observe_doubt=
			[ -n "$observe_doubt$observe_wrong" ] || break
			if [ "$uptime_cs" -ge "$observe_limit" ]; then
				[ -z "$observe_wrong" ] || fail "out of its bounds when the time was over: the metric $observe_wrong" || return 1
				observe_failed "${observe_doubt%% *}" || return 1
			fi
		fi
		nap 0.5
	done
	observe_tell
}

# observe_begin APP: what the release before is known by: its requests and errors since it was started, and how long they took.
observe_begin() {
	rm -f "$run_dir/state/observe.$1"
	case $(get old-slot) in
	blue | green) edge_slot_times "$1" "$(get old-slot)" >"$run_dir/state/observe.$1" 2>/dev/null || : >"$run_dir/state/observe.$1" ;;
	*) : >"$run_dir/state/observe.$1" ;;
	esac
}

# observe_tell: what is known when the time is over.
observe_tell() {
	if [ -n "$observe_closed" ]; then
		put not-judged 'maintenance is on'
	elif [ "$observe_requests" -lt "$MIN_REQUESTS" ]; then
		tell "$observe_requests requests came, fewer than min-requests ($MIN_REQUESTS): the error rate was not judged"
		put not-judged "$observe_requests requests while it was observed, and min-requests is $MIN_REQUESTS"
	else
		note "$observe_requests requests, $observe_errors answered with an error$(metrics_words)"
	fi
	observe_missing=$(metrics_missing)
	[ -z "$observe_missing" ] || [ -n "$observe_closed" ] || tell "not known while it was observed, and not judged: $observe_missing"
	for observe_app in $APPS; do
		app_read "$RELEASE" "$observe_app" || return 1
		[ -n "$(app_http_ports)" ] || tell "$observe_app speaks no HTTP: its answers are not judged"
	done
}

# observe_count APP: what users got since the switch, added to the whole, and held against what the release before answered.
observe_count() {
	app_read "$RELEASE" "$1" || return 1
	[ -n "$(app_http_ports)" ] && [ -z "$observe_closed" ] || return 0
	observe_now=$(edge_users "$1") || {
		# It may be starting again; then its counters begin anew.
		edge_again "$1" || fail "the edge of $1 does not report users' answers" || return 1
		observe_now='0 0'
	}
	observe_before=$(get "counted.$1" | grep . || echo '0 0')
	# shellcheck disable=SC2046,SC2086 # numbers
	set -- "$1" $observe_now $observe_before $(awk '{ all += $2; bad += $3 } END { print all + 0, bad + 0 }' "$run_dir/state/observe.$1")
	[ "$2" -ge "$4" ] || set -- "$1" "$2" "$3" 0 0 "$6" "$7"
	observe_own=$(($2 - $4))
	observe_own_errors=$(($3 - $5))
	observe_requests=$((observe_requests + observe_own))
	observe_errors=$((observe_errors + observe_own_errors))
	put "observed.$1" "$observe_own_errors of $observe_own"
	observe_times "$1"
	observe_left=$(((observe_end - uptime_cs) / 100))
	[ "$observe_left" -ge 0 ] || observe_left=0
	journal_slots "$1" 100 "$observe_left" "$observe_own" "$observe_own_errors" "$observe_new_p50" "$observe_new_p95" "$6" "$7" "$observe_old_p50" "$observe_old_p95"
	case $(judge_errors "$observe_own" "$observe_own_errors" "$6" "$7" past) in
	bad) observe_failed "$1" || return 1 ;;
	doubtful) observe_doubt="$1 $observe_doubt" ;;
	esac
	observe_slow "$1"
}

# observe_times APP: how long answers take, and took of the release before: sets observe_new_p95, observe_old_p95, observe_new_p50,
# observe_old_p50 (milliseconds, or `-`) and observe_verdict.
observe_times() {
	# shellcheck disable=SC2046 # numbers
	set -- $({
		edge_slot_times "$1" "$observe_slot" 2>/dev/null | sed 's/^/new /'
		sed 's/^/old /' "$run_dir/state/observe.$1"
	} | judge_times)
	observe_new_p95=${1:--}
	observe_old_p95=${2:--}
	observe_new_p50=${3:--}
	observe_old_p50=${4:--}
	observe_verdict=${5:-}
}

# observe_failed APP
observe_failed() {
	observe_id=$(containers "$1-$observe_slot" | head -n 1)
	[ -z "$observe_id" ] || last_lines "$observe_id"
	fail "$1 answered $(get "observed.$1") real requests with an error; at most $MAX_ERROR_RATE of them are allowed"
}

# observe_slow APP: where deploy.toml sets how much slower the new release may be than the one before was.
observe_slow() {
	[ "$OBSERVE_P95/$observe_verdict" != 1/bad ] ||
		fail "$1 is slower than the release before was: p95 $observe_new_p95 ms, and before $observe_old_p95 ms; it may be $MAX_P95_RATIO times as long"
}

observe_undo() {
	return 0
}
