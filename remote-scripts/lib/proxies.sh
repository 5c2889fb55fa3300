# shellcheck shell=sh
# The team's own proxies in front of the apps. They look the apps' names up when they start or are reloaded; when the name
# moves to another address, they are told to look again.
# shellcheck disable=SC2154 # the settings come from lib/settings.sh

# proxies_running: the containers of the services that stand in front.
proxies_running() {
	for running_proxy in $PROXIES; do containers "$running_proxy"; done
}

# proxies_look_again: by their own reload; those that have none are started again.
# shellcheck disable=SC2120 # its arguments are the words of a command
proxies_look_again() {
	proxies_settle
	for again_proxy in $PROXIES; do
		for again_id in $(containers "$again_proxy"); do
			again_words=$(proxy_reload "$again_proxy") || {
				tell "$again_proxy is started again, so that it looks the app's name up"
				docker restart "$again_id" 9>&- >/dev/null || return 1
				continue
			}
			[ -n "$again_words" ] || continue
			eval "set -- $again_words"
			docker exec "$again_id" "$@" 9>&- >"$run_dir/state/reload.said" 2>&1 || {
				cat "$run_dir/state/reload.said"
				tell "$again_proxy could not be told to look the app's name up again; it is started again"
				docker restart "$again_id" 9>&- >/dev/null || return 1
			}
		done
	done
}

# proxy_reload PROXY: the words by which it is reloaded. Fails where it has none.
proxy_reload() {
	awk -F '\t' -v name="$1" '$1 == name { print $3; found = 1 } END { exit !found }' "$releases/$RELEASE/stack.reloads"
}

# proxies_pin APP CONTAINER: while two containers have the app's name, the proxies find this one alone under it.
proxies_pin() {
	for pin_id in $(proxies_running); do
		pin_address=$(shared_address "$2" "$pin_id")
		[ -n "$pin_address" ] || continue
		# shellcheck disable=SC2016 # for the shell in the container
		docker exec -u 0 "$pin_id" sh -c 'printf "%s %s # estiba\n" "$1" "$2" >>/etc/hosts' sh "$pin_address" "$1" 9>&- 2>/dev/null ||
			note 'a proxy finds both containers under the name for a while'
	done
	for pin_proxy in $PROXIES; do
		# These two read the file when they are reloaded.
		case $(proxy_reload "$pin_proxy") in *nginx* | *haproxy*) continue ;; esac
		uptime_cs
		put pinned "$uptime_cs"
	done
	return 0
}

# proxies_settle: waits until each proxy has seen what was pinned last. Programs written in Go, Caddy and Traefik among them, read
# /etc/hosts again after five seconds; a connection that they make until then, they go on using.
proxies_settle() {
	settle_since=$(get pinned)
	[ -n "$settle_since" ] || return 0
	while uptime_cs && [ "$uptime_cs" -ge "$settle_since" ] && [ "$uptime_cs" -lt $((settle_since + 600)) ]; do nap 0.2; done
}

# proxies_unpin: they find it by the network's names again.
proxies_unpin() {
	for pin_id in $(proxies_running); do
		# shellcheck disable=SC2016 # for the shell in the container
		docker exec -u 0 "$pin_id" sh -c 'hosts=$(grep -v "# estiba$" /etc/hosts) && printf "%s\n" "$hosts" >/etc/hosts' 9>&- 2>/dev/null
	done
	return 0
}

# shared_address CONTAINER OTHER: its address on a network that both are on.
shared_address() {
	for shared_network in $(docker inspect -f '{{range $name, $network := .NetworkSettings.Networks}}{{println $name}}{{end}}' "$2" 9>&-); do
		shared_found=$(docker inspect -f "{{with index .NetworkSettings.Networks \"$shared_network\"}}{{.IPAddress}}{{end}}" "$1" 9>&-)
		[ -z "$shared_found" ] || { printf '%s\n' "$shared_found" && return 0; }
	done
}

# edge_addresses: each edge's addresses, a line an app.
edge_addresses() {
	for addresses_app in $APPS; do
		addresses_id=$(edge_container "$addresses_app")
		[ -n "$addresses_id" ] || continue
		printf '%s %s\n' "$addresses_app" "$(docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}' "$addresses_id" 9>&-)"
	done
}

# edges_run: has each edge an address? The addresses are in the file of that name.
edges_run() {
	edge_addresses >"$run_dir/state/addresses" || return 1
	# shellcheck disable=SC2086 # names, none with a space
	[ "$(grep -c ' [0-9a-f]' "$run_dir/state/addresses")" = "$(printf '%s\n' $APPS | grep -c .)" ]
}

# proxies_follow: a proxy that looked the name up once sends to a dead address when an edge has started with another one.
proxies_follow() {
	# While one does not run there is nothing to look up yet.
	edges_run || return 0
	if [ -e "$state/edge-addresses" ] && ! cmp -s "$run_dir/state/addresses" "$state/edge-addresses"; then
		tell 'an edge has a new address: the proxies in front look its name up again'
		# shellcheck disable=SC2119 # as above
		proxies_look_again || return 0
	fi
	# A run's step and the one who watches beside it may write at once: each has a name of its own for it until it is whole.
	write_file "$state/edge-addresses.$$" <"$run_dir/state/addresses" && mv "$state/edge-addresses.$$" "$state/edge-addresses"
}
