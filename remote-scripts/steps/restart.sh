# shellcheck shell=sh
# restart: the containers of the named services start again, one service after another. Requests to an app wait at its edge meanwhile.
# Deadline: (DRAIN_TIMEOUT + HEALTH_TIMEOUT) * apps + 300 seconds.
# A failure: what was stopped is started, and the requests that wait are let through.

restart_do() {
	serves_still || return 1
	put slot "$(serving_slot)" || return 1
	for restart_service in $SERVICES; do
		case " $APPS " in
		*" $restart_service "*) restart_app "$restart_service" || return 1 ;;
		*) restart_other "$restart_service" || return 1 ;;
		esac
		note "$restart_service has started again"
	done
}

restart_app() {
	put parked "$(get parked) $1" || return 1
	restart_slot=$(get slot)
	edge_put "$1" fence fence park || return 1
	edge_drain "$1" "$restart_slot" "$DRAIN_TIMEOUT" || tell "$drain_open requests or open streams of $1 were still open after $DRAIN_TIMEOUT s and are cut now"
	restart_containers "$1-$restart_slot" && restart_answers "$1" || return 1
	edge_put "$1" fence fence "$(fence_rest)"
}

# restart_answers APP: waits until each of its containers does.
restart_answers() {
	app_read "$RELEASE" "$1" || return 1
	deadline_in "$app_timeout"
	until app_answers "$RELEASE" "$1" "$(get slot)"; do
		! past_deadline || {
			[ -z "$answers_id" ] || last_lines "$answers_id"
			fail "after its restart, $app_path of $1 answers $answers_said, not $app_status, for $app_timeout s"
			return 1
		}
		nap 0.2
	done
}

restart_other() {
	restart_name=$1
	case " $WORKERS " in *" $1 "*) restart_name=$1-$(get slot) ;; esac
	restart_containers "$restart_name" || return 1
	deadline_in "$HEALTH_TIMEOUT"
	for restart_id in $(containers "$restart_name" all); do
		while :; do
			case $(docker inspect -f '{{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{end}}' "$restart_id" 9>&-) in
			'running ' | 'running healthy') break ;;
			esac
			! past_deadline || {
				last_lines "$restart_id"
				fail "after its restart, $1 does not run well within $HEALTH_TIMEOUT s"
				return 1
			}
			nap 0.2
		done
	done
}

# restart_containers NAME
restart_containers() {
	restart_ids=$(containers "$1" all) || engine_lost || return 1
	[ -n "$restart_ids" ] || fail "there is no container of $1" || return 1
	# shellcheck disable=SC2086 # ids, none with a space
	docker restart $restart_ids 9>&- >/dev/null || fail "$1 cannot be started again"
}

restart_undo() {
	has slot || return 0
	restart_failed=
	for restart_service in $SERVICES; do
		restart_name=$restart_service
		case " $APPS $WORKERS " in *" $restart_service "*) restart_name=$restart_service-$(get slot) ;; esac
		for restart_id in $(containers "$restart_name" all); do docker start "$restart_id" 9>&- >/dev/null || restart_failed=1; done
	done
	# Whatever they answer, nobody waits any longer: one app may ask another.
	for restart_service in $(get parked); do
		edge_put "$restart_service" fence fence "$(fence_rest)" || restart_failed=1
	done
	for restart_service in $(get parked); do
		restart_answers "$restart_service" || restart_failed=1
	done
	[ -z "$restart_failed" ]
}
