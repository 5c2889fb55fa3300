# shellcheck shell=sh
# check: the new release answers its health path, asked from the server, container by container.

check_do() {
	check_service=$APP_SERVICE-$(get slot)
	check_end=$HEALTH_TIMEOUT
	deadline_in "$check_end"
	check_said=nothing
	while :; do
		check_good=1
		[ -n "$(containers "$check_service" all)" ] || fail "there is no container of $check_service" || return 1
		for check_id in $(containers "$check_service" all); do
			check_alive "$check_id" || return 1
			check_at=$(address "$check_id")
			check_said=$(http_status "http://$check_at:$APP_PORT$HEALTH_PATH" "$HEALTH_HOST" "$HEALTH_REQUEST_TIMEOUT")
			[ "$check_said" = "$HEALTH_STATUS" ] || check_good=
		done
		[ -z "$check_good" ] || break
		past_deadline && check_failed && return 1
		nap "$HEALTH_INTERVAL"
	done
	note "$check_service answers $HEALTH_PATH with $check_said"
}

# A container that stopped or was started again will not get better by waiting.
check_alive() {
	set -- "$1" "$(incarnation "$1")"
	case $2 in
	'running 0 '*) return 0 ;;
	'created '*) return 0 ;;
	esac
	last_lines "$1"
	fail "the app's container stopped by itself (exit status ${2##* })"
}

check_failed() {
	last_lines "$check_id"
	case $check_said in
	refused | failed) fail "nothing answers on port $APP_PORT within $HEALTH_TIMEOUT s (connection $check_said)$(check_listens)" ;;
	timeout) fail "$HEALTH_PATH on port $APP_PORT gave no answer within $HEALTH_TIMEOUT s" ;;
	*) fail "$HEALTH_PATH answers $check_said, not $HEALTH_STATUS, for $HEALTH_TIMEOUT s (asked with Host: $HEALTH_HOST; the target's url or [health] host sets it)" ;;
	esac
	return 0
}

# The ports that something in the container listens on, from the kernel's own table.
check_listens() {
	check_ports=
	for check_hex in $(docker exec "$check_id" cat /proc/net/tcp /proc/net/tcp6 9>&- 2>/dev/null |
		awk '$4 == "0A" { split($2, a, ":"); if (a[1] !~ /^0B00007F/) print a[2] }' | sort -u); do
		check_ports="$check_ports $((0x$check_hex))"
	done
	[ -z "$check_ports" ] || printf '; the container listens on%s: set [app] port' "$check_ports"
}

check_undo() {
	return 0
}
