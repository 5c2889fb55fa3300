# shellcheck shell=sh
# scale: so many containers of one service as were asked for, until the next deploy. Where an app gets fewer, requests wait at its edge
# while the others stop.
# Deadline: DRAIN_TIMEOUT + HEALTH_TIMEOUT + 300 seconds.
# A failure: undone: as many as there were.

scale_do() {
	serves_still || return 1
	put slot "$(serving_slot)" && put scaled "$(scale_name)" || return 1
	scale_shares_nothing || return 1
	scale_there=$(containers "$(get scaled)") || engine_lost || return 1
	put scale-before "$(printf '%s\n' "$scale_there" | grep -c .)" || return 1
	scale_to "$ASKED" || return 1
	tell "$SERVICES had $(get scale-before) containers and has $ASKED now, until the next deploy"
}

# scale_shares_nothing: two containers of a database, or of another service of the stack that writes to what it mounts, would spoil it.
scale_shares_nothing() {
	case " $APPS $WORKERS " in *" $SERVICES "*) return 0 ;; esac
	[ "$ASKED" != 1 ] || return 0
	scale_writes=
	for scale_id in $(containers "$SERVICES" all); do
		scale_writes="$scale_writes$(docker inspect -f '{{range .Mounts}}{{if .RW}}{{println .Destination}}{{end}}{{end}}' "$scale_id" 9>&-)"
	done
	case " $DATABASE_SERVICE $CACHE_SERVICE " in *" $SERVICES "*) scale_writes='its data' ;; esac
	[ -z "$scale_writes" ] || refuse 1 "$SERVICES writes to what it mounts ($(printf '%s\n' "$scale_writes" | tr '\n' ' ' | sed 's/ $//')): two of it would spoil that"
}

# scale_name: the service, as Compose knows it.
scale_name() {
	case " $APPS $WORKERS " in
	*" $SERVICES "*) printf '%s-%s\n' "$SERVICES" "$(get slot)" ;;
	*) printf '%s\n' "$SERVICES" ;;
	esac
}

# scale_to COUNT
scale_to() {
	case " $APPS " in *" $SERVICES "*) ;; *)
		scale_compose "$1"
		return
		;;
	esac
	app_read "$RELEASE" "$SERVICES" || return 1
	if [ "$1" -gt 1 ] && [ "$app_strategy" = recreate ]; then
		refuse 1 "$SERVICES may not run twice: its strategy is recreate" || return 1
	fi
	if [ "$1" -lt "$(get scale-before)" ]; then
		put parked 1 && edge_put "$SERVICES" fence fence park || return 1
		edge_drain "$SERVICES" "$(get slot)" "$DRAIN_TIMEOUT" || tell "$drain_open requests or open streams of $SERVICES were still open after $DRAIN_TIMEOUT s"
	fi
	scale_compose "$1" || return 1
	deadline_in "$app_timeout"
	until app_answers "$RELEASE" "$SERVICES" "$(get slot)"; do
		! past_deadline || fail "with $1 containers, $app_path of $SERVICES answers $answers_said, not $app_status, for $app_timeout s" || return 1
		nap 0.2
	done
	! has parked || edge_put "$SERVICES" fence fence "$(fence_rest)"
}

scale_compose() {
	compose "$RELEASE" "$(get slot)" up -d --no-deps --no-recreate --scale "$(get scaled)=$1" "$(get scaled)" || fail "Compose cannot give $SERVICES $1 containers; its output is above"
}

scale_undo() {
	has scale-before || return 0
	scale_compose "$(get scale-before)"
	scale_status=$?
	# Whatever came of it, nobody waits any longer.
	! has parked || edge_put "$SERVICES" fence fence "$(fence_rest)" || return 1
	return "$scale_status"
}
