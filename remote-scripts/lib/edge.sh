# shellcheck shell=sh
# The edge: the proxy's configuration folder, <root>/edge, and which slot it serves.
# shellcheck disable=SC2154 # the settings come from release.env and lib/common.sh

edge=$root/edge
# Inside the proxy's network only, never published: says what configuration the workers run.
edge_port=8099

proxy_container() {
	proxy_found=$(containers "$PROXY_SERVICE") && printf '%s\n' "$proxy_found" | head -n 1
}

# edge_fill DIR RELEASE SLOT [BACKUP] [FENCE]: the release's proxy files and its upstream file, into DIR.
# With BACKUP, that slot stands in when SLOT does not answer, and requests are logged for `observe`. With FENCE
# (read-only or maintenance), requests that write, or all of them, are answered 503.
edge_fill() {
	fill_server=$(slot_service_name "$(setting "$2" APP_SERVICE)" "$3")
	fill_backup=
	[ -z "${4:-}" ] || fill_backup="server $(slot_service_name "$OLD_APP_SERVICE" "$4"):$OLD_APP_PORT backup;"
	rm -rf "$1" && mkdir -p "$1" && cp -R "$releases/$2/edge/." "$1/" || return 1
	sed -e "s|@SERVER@|$fill_server|g; s|@BACKUP@|$fill_backup|g; s|@RELEASE@|$2|g; s|@SLOT@|$3|g; s|@RUN@|$RUN|g" \
		-e "$([ -n "${4:-}" ] && echo 's/^@OBSERVE@//' || echo '/^@OBSERVE@/d')" \
		-e "$([ -n "${5:-}" ] && echo 's/^@FENCED@//; /^@OPEN@/d' || echo 's/^@OPEN@//; /^@FENCED@/d')" \
		-e "$([ "${5:-}" = maintenance ] && echo 's/@METHODS@/./' || echo 's/@METHODS@/^(?!(GET|HEAD|OPTIONS)$)/')" \
		"$releases/$2/edge/estiba-upstreams.conf" >"$1/estiba-upstreams.conf"
}

# edge_install DIR: the files of DIR take the place of the edge's, each in one step, the upstreams last.
edge_install() {
	(cd "$1" && find . -type d) | while IFS= read -r install_path; do
		mkdir -p "$edge/$install_path" || exit 1
	done || return 1
	(cd "$1" && find . -type f ! -name estiba-upstreams.conf && echo ./estiba-upstreams.conf) |
		while IFS= read -r install_path; do
			cmp -s "$1/$install_path" "$edge/$install_path" || mv -f "$1/$install_path" "$edge/$install_path" || exit 1
		done || return 1
	# What the release no longer has goes last.
	(cd "$edge" && find . -type f ! -path './.*') | while IFS= read -r install_path; do
		[ -e "$releases/$2/edge/$install_path" ] || rm -f "$edge/$install_path" || exit 1
	done
}

# edge_test DIR: `nginx -t` in the running proxy over the files of DIR, before any of them is in place.
edge_test() {
	test_proxy=$(proxy_container)
	rm -rf "$edge/.test" && cp -R "$1" "$edge/.test" || return 1
	find "$edge/.test" -type f -name '*.conf' -exec sed -i 's|/etc/nginx/conf\.d/|/etc/nginx/conf.d/.test/|g' {} + || return 1
	docker exec "$test_proxy" cat /etc/nginx/nginx.conf 9>&- |
		sed 's|/etc/nginx/conf\.d/|/etc/nginx/conf.d/.test/|g' >"$edge/.test/.nginx"
	test_said=$(docker exec "$test_proxy" nginx -t -c /etc/nginx/conf.d/.test/.nginx 9>&- 2>&1)
	test_status=$?
	rm -rf "$edge/.test"
	[ "$test_status" = 0 ] && return 0
	printf '%s\n' "$test_said" | sed 's|/conf\.d/\.test/|/conf.d/|g'
	return 1
}

# edge_serves RELEASE SLOT: waits until a worker with that configuration answers.
edge_serves() {
	deadline_in 15
	while :; do
		serves_at=$(address "$(proxy_container)")
		[ -n "$serves_at" ] && serves_said=$(http_body "http://$serves_at:$edge_port/estiba/release" localhost 2) &&
			[ "$serves_said" = "$1 $2 $RUN" ] && return 0
		past_deadline && return 1
		nap
	done
}

edge_health() {
	http_status "http://$(address "$(proxy_container)"):$edge_port$HEALTH_PATH" "$HEALTH_HOST" 5
}

# edge_is_fenced: does the proxy's configuration answer 503 for a migration's sake?
edge_is_fenced() {
	grep -q "^    server 127.0.0.1:8098;" "$edge/estiba-upstreams.conf" 2>/dev/null
}

# edge_switch RELEASE SLOT [BACKUP] [FENCE]: the running proxy serves that slot with that release's files.
# Nothing is changed when the files are invalid.
edge_switch() {
	edge_fill "$edge.next" "$@" || return 1
	switch_to=$(proxy_container) || engine_lost || return 1
	if [ -n "$switch_to" ]; then
		edge_test "$edge.next" || { fail "the proxy refuses the configuration of $1: nginx -t failed" && return 1; } || return 1
		edge_install "$edge.next" "$1" || return 1
		docker exec "$switch_to" nginx -s reload 9>&- 2>&1 | grep -v 'signal process started'
		edge_serves "$1" "$2" || fail "the proxy did not take the new configuration within 15 s" || return 1
	else
		edge_install "$edge.next" "$1" || return 1
	fi
	rm -rf "$edge.next"
}

# edge_renew: the proxy looks the names in its configuration up again.
edge_renew() {
	renew_proxy=$(proxy_container)
	[ -z "$renew_proxy" ] || docker exec "$renew_proxy" nginx -s reload 9>&- 2>&1 | grep -v 'signal process started'
	return 0
}

# edge_drain SECONDS: waits until no worker of an earlier configuration is left, so that no request
# is in flight to a slot that no longer serves. nginx tells its old workers a tenth of a second after the new
# ones serve, so one look that finds none is not enough.
edge_drain() {
	deadline_in "$1"
	drain_proxy=$(proxy_container)
	[ -n "$drain_proxy" ] || return 0
	drain_none=0
	while [ "$drain_none" -lt 2 ]; do
		edge_has_old_workers
		case $? in
		1) drain_none=$((drain_none + 1)) ;;
		0) drain_none=0 ;;
		# A proxy that does not run has no worker.
		*) [ -n "$(proxy_container)" ] || return 0 ;;
		esac
		[ "$drain_none" -lt 2 ] || break
		past_deadline && return 1
		nap 0.15
	done
	return 0
}

# edge_has_old_workers: 0 where a worker is shutting down, 1 where none is, else the look failed.
# shellcheck disable=SC2016 # for the shell in the container
edge_has_old_workers() {
	docker exec "$drain_proxy" sh -c '
		for file in /proc/[0-9]*/cmdline; do
			read -r line <"$file" || [ -n "$line" ] || continue
			case $line in *"worker process is shutting down"*) exit 0 ;; esac
		done 2>/dev/null
		exit 1' 9>&- 2>/dev/null
}
