# shellcheck shell=sh
# The apps of a release, from its file `apps`: a line each in the order in which they start, fields parted by tabs:
#   name  ports (8000:http,9000:tcp)  health-path (- for none)  host  status  interval  timeout  strategy  published|behind
# shellcheck disable=SC2034 # what app_read sets is for those who call it
# shellcheck disable=SC2154 # the settings come from lib/settings.sh

# app_read RELEASE APP: sets app_ports, app_port (the first one's number), app_path, app_host,
# app_status, app_interval, app_timeout, app_strategy and app_place. Fails where the release has no such app.
app_read() {
	app_line=$(awk -F '\t' -v name="$2" '$1 == name' "$releases/$1/apps" 2>/dev/null)
	[ -n "$app_line" ] || return 1
	IFS='	' read -r app_name app_ports app_path app_host app_status app_interval app_timeout app_strategy app_place <<-LINE
		$app_line
	LINE
	app_first=${app_ports%%,*}
	app_port=${app_first%%:*}
}

# serves_still: does the release that this run is about still serve?
serves_still() {
	serves_now=$(pointed "$root/current")
	[ "$serves_now" = "$RELEASE" ] ||
		refuse 6 "the server has changed: it serves ${serves_now:-nothing}, not $RELEASE. Nothing was changed: run it again"
}

# app_http_ports: of the app that was read last, the numbers of the ports whose answers can be counted.
app_http_ports() {
	printf '%s\n' "$app_ports" | tr ',' '\n' | sed -n 's/:http$//p; s/:h2c$//p'
}

# app_numbers: of the app that was read last, the numbers of all its ports.
app_numbers() {
	printf '%s\n' "$app_ports" | tr ',' '\n' | sed 's/:.*//'
}

# apps_of RELEASE: its apps. A release of an estiba before edges had one.
apps_of() {
	apps_named=$(setting "$1" APPS 2>/dev/null)
	[ -n "$apps_named" ] || apps_named=$(setting "$1" APP_SERVICE)
	printf '%s\n' "$apps_named"
}

# app_answers RELEASE APP SLOT [PATH]: does each container of the app in that slot answer as its health says? Sets
# answers_said to what the first that does not said, and answers_id to a container of it.
app_answers() {
	app_read "$1" "$2" || return 1
	answers_path=${4:-$app_path}
	answers_found=$(slot_containers "$2" "$3") || engine_lost || return 1
	answers_id=$(printf '%s\n' "$answers_found" | head -n 1)
	answers_said=nothing
	[ -n "$answers_id" ] || return 1
	if ! answers_servers=$(edge_servers "$2" "$3" "$app_port"); then
		[ -n "$(edge_container "$2")" ] && answers_said='the edge' && return 1
		app_answers_directly
		return
	fi
	answers_said=unknown
	[ "$(printf '%s\n' "$answers_servers" | grep -c .)" -ge "$(printf '%s\n' "$answers_found" | grep -c .)" ] || return 1
	while read -r answers_server answers_up _; do
		answers_said=refused
		[ "$answers_up" = 2 ] || return 1
		[ "$answers_path" != - ] || { answers_said='connections taken' && continue; }
		answers_said=$(edge_status "$2" "$answers_path" "$app_host" "$HEALTH_REQUEST_TIMEOUT" "$3" "$answers_server")
		[ "$answers_said" = "$app_status" ] || return 1
	done <<-SERVERS
		$answers_servers
	SERVERS
	return 0
}

# Where no edge stands in front yet, each container is asked at its own address.
app_answers_directly() {
	for answers_id in $answers_found; do
		[ "$answers_path" != - ] || continue
		answers_said=$(http_status "http://$(address "$answers_id"):$app_port$answers_path" "$app_host" "$HEALTH_REQUEST_TIMEOUT")
		[ "$answers_said" = "$app_status" ] || return 1
	done
	return 0
}
