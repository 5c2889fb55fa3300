# shellcheck shell=sh
# A release that gets requests is looked at: its health, container by container.

# watch_health APP SLOT WHEN: three looks in a row that one of its containers does not pass are a failure. How many requests it made is
# kept as the state looks.APP.
watch_health() {
	answers_servers=
	if app_answers "$RELEASE" "$1" "$2"; then
		watch_count "$1"
		rm -f "$run_dir/state/sick.$1"
		return 0
	fi
	watch_count "$1"
	case $answers_said in
	'the edge' | unknown)
		# It starts again, and has to find the containers anew.
		watch_lost=$(($(get "lost.$1" | grep . || echo 0) + 1))
		put "lost.$1" "$watch_lost" || return 1
		[ "$watch_lost" -gt 5 ] || { edge_again "$1" && edge_knows "$1" "$2" 1 && return 0; }
		;;
	esac
	watch_sick=$(($(get "sick.$1" | grep . || echo 0) + 1))
	put "sick.$1" "$watch_sick" || return 1
	[ "$watch_sick" -ge 3 ] || return 0
	[ -z "$answers_id" ] || last_lines "$answers_id"
	fail "$3, $app_path of $1 answered $answers_said three times in a row, not $app_status"
}

watch_count() {
	[ "$app_path" != - ] || return 0
	put "looks.$1" "$(($(get "looks.$1" | grep . || echo 0) + $(printf '%s\n' "$answers_servers" | grep -c .)))"
}

# watch_is_sick APP…: did the last look at one of them fail?
watch_is_sick() {
	for watch_app in "$@"; do
		[ ! -e "$run_dir/state/sick.$watch_app" ] || return 0
	done
	return 1
}
