# shellcheck shell=sh
# canary: a growing share of the visitors gets the new release. What both releases answer in the same time is compared: the next share
# follows where nothing tells against the new one, and enough requests came to tell.
# Deadline: CANARY_TIME + CANARY_WAIT + DRAIN_TIMEOUT * apps + 300 seconds.
# A failure: the edge sends everybody to the release before, which still runs; then undone.

canary_do() {
	canary_slot=$(get slot)
	canary_old=$(get old-slot)
	case $canary_old in
	blue | green) ;;
	*) note 'no release of estiba serves yet that could go on beside a canary' && return 0 ;;
	esac
	# People wait, and the release before may not serve on the migrated schema.
	! has fencing || { tell 'there was a fence, so there is no canary: everybody gets the new release at the switch' && return 0; }
	[ "$(fence_rest)" = off ] || { tell 'maintenance is on, so there is no canary: nobody comes' && return 0; }
	canary_apps=
	for canary_app in $APPS; do
		app_read "$RELEASE" "$canary_app" || return 1
		if [ -z "$(app_http_ports)" ] || [ "$app_strategy" = recreate ] || [ -z "$(containers "$canary_app-$canary_old")" ]; then
			tell "$canary_app takes no part in the canary: it changes over at the switch"
		else
			canary_apps="$canary_apps $canary_app"
		fi
	done
	[ -n "$canary_apps" ] || return 0
	put_durably canary "$canary_apps" || return 1
	for canary_app in $canary_apps; do
		canary_begin "$canary_app" || return 1
	done
	for canary_share in $CANARY_STEPS; do
		canary_step || return 1
	done
}

# canary_begin APP: from here on both releases are counted. Where no container of the new one takes connections any more, the old one
# stands in.
canary_begin() {
	edge_put "$1" share share 0 && edge_put "$1" canary by "$CANARY_STICKY" && edge_put "$1" release "$canary_slot" "$RELEASE" &&
		edge_standby "$1" "$canary_slot" on && edge_put "$1" canary slot "$canary_slot" || return 1
	edge_ask "$1" 'clear table times' >/dev/null
	canary_before=
	canary_new=$(edge_slot_count "$1" "$canary_slot") && canary_before=$(edge_slot_count "$1" "$canary_old")
	[ -n "$canary_before" ] || fail "the edge of $1 does not report its request count" || return 1
	put "canary-new.$1" "$canary_new" && put "canary-old.$1" "$canary_before" && put "looks.$1" 0
}

# canary_step: one share, until its time is over and enough is known.
canary_step() {
	for canary_app in $canary_apps; do
		edge_put "$canary_app" share share "$((canary_share * 100))" || return 1
	done
	put canary-share "$canary_share" && rm -f "$run_dir/canary.next"
	metrics_begin
	note "$canary_share % of the visitors get $RELEASE"
	for canary_app in $canary_apps; do
		canary_counts "$canary_app" || return 1
		put "canary-step.$canary_app" "$canary_requests"
	done
	uptime_cs
	canary_end=$((uptime_cs + CANARY_STEP_SECONDS * 100))
	canary_limit=$((canary_end + CANARY_WAIT * 100))
	canary_told=
	canary_missing=
	canary_wrong=
	while :; do
		new_runs 'in the canary' || return 1
		canary_least=
		canary_doubt=
		for canary_app in $canary_apps; do
			watch_health "$canary_app" "$canary_slot" 'in the canary' && canary_judge "$canary_app" || return 1
			canary_here=$((canary_requests - $(get "canary-step.$canary_app")))
			if [ -z "$canary_least" ] || [ "$canary_here" -lt "$canary_least" ]; then canary_least=$canary_here; fi
		done
		metrics_look || return 1
		if [ -e "$run_dir/canary.next" ]; then
			canary_tell
			tell "the step of $canary_share % was ended by hand"
			return 0
		fi
		uptime_cs
		if [ "$uptime_cs" -ge "$canary_end" ] && [ ! -e "$run_dir/canary.paused" ]; then
			canary_missing=$(metrics_missing)
			canary_wrong=$(metrics_wrong)
			# shellcheck disable=SC2086 # names of services
			if [ "$canary_least" -ge "$MIN_REQUESTS" ] && [ -z "$canary_doubt$canary_missing$canary_wrong" ] && ! watch_is_sick $canary_apps; then
				canary_tell
				return 0
			fi
			if [ "$canary_least" -lt "$MIN_REQUESTS" ] && [ "$CANARY_INCONCLUSIVE" = synthetic ]; then
				canary_ask || return 1
			elif [ "$canary_least" -lt "$MIN_REQUESTS" ] || [ -n "$canary_missing" ]; then
				[ "$CANARY_INCONCLUSIVE" != undo ] || canary_inconclusive "" || return 1
			fi
		fi
		[ "$uptime_cs" -lt "$canary_end" ] || canary_waits
		[ "$uptime_cs" -lt "$canary_limit" ] || canary_inconclusive ", and it has waited for $CANARY_WAIT s" || return 1
		nap 0.5
	done
}

# canary_waits: says once why the step goes on.
canary_waits() {
	[ -z "$canary_told" ] || return 0
	canary_told=1
	if [ -e "$run_dir/canary.paused" ]; then
		tell "the canary is paused at $canary_share %"
	elif [ "$canary_least" -lt "$MIN_REQUESTS" ]; then
		tell "the canary waits at $canary_share % for more requests: $canary_least came, and min-requests is $MIN_REQUESTS"
	elif [ -n "$canary_missing" ]; then
		tell "the canary waits at $canary_share %, because these metrics are not known: $canary_missing"
	elif [ -n "$canary_wrong" ]; then
		tell "the canary waits at $canary_share %, because these metrics are out of their bounds: $canary_wrong"
	else
		canary_tell
		tell "the canary waits at $canary_share %, because the new release's errors are too many for chance and too few for a verdict"
	fi
}

# canary_inconclusive MORE: too few requests are no success.
canary_inconclusive() {
	canary_tell
	if [ -e "$run_dir/canary.paused" ]; then
		fail "the canary was paused at $canary_share % for longer than longest-wait ($CANARY_WAIT s)"
	elif [ "$canary_least" -ge "$MIN_REQUESTS" ] && [ -n "$canary_missing" ]; then
		fail "the canary is inconclusive at $canary_share %: these metrics are not known: $canary_missing$1"
	elif [ "$canary_least" -ge "$MIN_REQUESTS" ]; then
		fail "the canary is inconclusive at $canary_share %: the new release's errors are too many for chance and too few for a verdict$1"
	else
		fail "the canary is inconclusive at $canary_share %: $canary_least requests came to the new release, and min-requests is $MIN_REQUESTS$1. Lower it, make step-duration longer, or set inconclusive = \"wait\" or \"synthetic\""
	fi
}

# canary_ask: the smoke requests that only read, of both releases, where too few came by themselves. The edge counts them as it does
# others, but for their times.
canary_ask() {
	for canary_app in $canary_apps; do
		canary_counts "$canary_app" || return 1
		canary_here=$((canary_requests - $(get "canary-step.$canary_app")))
		[ "$canary_here" -ge "$MIN_REQUESTS" ] || smoke_again "$canary_app" "$canary_slot" "$canary_old" || return 1
	done
}

# canary_counts APP: sets canary_requests and canary_errors of the new release since the canary began, canary_old_requests and
# canary_old_errors of the one before. An edge that started again counts from nothing.
canary_counts() {
	canary_before=
	canary_new=$(edge_slot_count "$1" "$canary_slot") && canary_before=$(edge_slot_count "$1" "$canary_old")
	if [ -z "$canary_before" ]; then
		edge_again "$1" || fail "the edge of $1 does not report its request count" || return 1
		canary_new='0 0'
		canary_before='0 0'
	fi
	# shellcheck disable=SC2046,SC2086 # numbers
	set -- "$1" $canary_new $canary_before $(get "canary-new.$1") $(get "canary-old.$1")
	if [ "$2" -lt "$6" ] || [ "$4" -lt "$8" ]; then
		put "canary-new.$1" '0 0' && put "canary-old.$1" '0 0' && put "canary-step.$1" 0 && put "looks.$1" 0 || return 1
		set -- "$1" "$2" "$3" "$4" "$5" 0 0 0 0
	fi
	canary_requests=$(($2 - $6 - $(get "looks.$1" | grep . || echo 0)))
	[ "$canary_requests" -ge 0 ] || canary_requests=0
	canary_errors=$(($3 - $7))
	canary_old_requests=$(($4 - $8))
	canary_old_errors=$(($5 - $9))
}

# canary_judge APP: is there evidence against the new release?
canary_judge() {
	canary_counts "$1" || return 1
	uptime_cs
	canary_times=$(edge_times "$1" | judge_times)
	canary_words="$1: $canary_requests requests to the new release, $canary_errors answered with an error, p95 ${canary_times%% *} ms; $canary_old_requests to the one before, $canary_old_errors with an error, p95 $(printf '%s\n' "$canary_times" | cut -d ' ' -f 2) ms"
	put "canary-words.$1" "$canary_words" || return 1
	# shellcheck disable=SC2086 # numbers
	canary_picture "$1" $canary_times
	case $(judge_errors "$canary_requests" "$canary_errors" "$canary_old_requests" "$canary_old_errors") in
	bad)
		canary_logs "$1"
		fail "the new release fails more than the one before ($canary_words); at most $MAX_ERROR_RATE of its requests may"
		return 1
		;;
	doubtful) canary_doubt=1 ;;
	esac
	case $canary_times in
	*bad)
		fail "the new release is slower than the one before ($canary_words); its p95 may be $MAX_P95_RATIO times as long"
		return 1
		;;
	esac
}

# canary_picture APP NEW-P95 OLD-P95 NEW-P50 OLD-P50 …
canary_picture() {
	canary_left=$(((canary_end - uptime_cs) / 100))
	[ "$canary_left" -ge 0 ] || canary_left=0
	journal_slots "$1" "$canary_share" "$canary_left" "$canary_requests" "$canary_errors" "$4" "$2" "$canary_old_requests" "$canary_old_errors" "$5" "$3"
}

canary_logs() {
	canary_id=$(containers "$1-$canary_slot" | head -n 1)
	[ -z "$canary_id" ] || last_lines "$canary_id"
}

# canary_tell: what is known at the end of a step.
canary_tell() {
	for canary_app in $canary_apps; do
		tell "canary at $canary_share %: $(get "canary-words.$canary_app")$(metrics_words)"
	done
}

# canary_off APP: who serves serves everybody.
canary_off() {
	edge_put "$1" share share 0 && edge_put "$1" canary slot none
}

canary_undo() {
	has canary || return 0
	for canary_app in $(get canary); do
		# An edge that is gone sends nobody anywhere.
		[ ! -e "$edge/$canary_app/state/canary.map" ] || canary_off "$canary_app" || return 1
	done
	# What the new release has been asked it answers, before it goes.
	for canary_app in $(get canary); do
		[ -e "$edge/$canary_app/state/canary.map" ] || continue
		edge_drain "$canary_app" "$(get slot)" "$DRAIN_TIMEOUT" ||
			note 'some requests to the new release were still in flight after the drain time'
		edge_standby "$canary_app" "$(get slot)" off && edge_put "$canary_app" release "$(get slot)" none || return 1
	done
}
