# shellcheck shell=sh
# alert: after a scheduled run that failed, the team's own command is run in the app's container that
# serves, with the news on its standard input.

alert_do() {
	[ -n "${BACKUP_ALERT:-}" ] || return 0
	alert_container=$(containers "$(slot_service_name "$APP_SERVICE" "$(serving_slot)")" | head -n 1)
	[ -n "$alert_container" ] || { note 'the alert was not given: no container of the app runs' && return 1; } || return 1
	eval "set -- $BACKUP_ALERT"
	cut -f 3,4 "$run_dir/outcome" | while IFS='	' read -r alert_step alert_reason; do
		printf '%s: the scheduled %s failed at %s: %s\n' "$PROJECT" "$KIND" "$alert_step" "$alert_reason"
	done | docker exec -i "$alert_container" "$@" 9>&-
}
