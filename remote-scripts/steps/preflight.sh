# shellcheck shell=sh
# preflight: everything that can be known to be wrong before anything is touched.

preflight_do() {
	preflight_current=$(pointed "$root/current")
	if [ "$preflight_current" != "$EXPECT_CURRENT" ]; then
		refuse 6 "the server moved: it serves ${preflight_current:-nothing}, the plan was made for ${EXPECT_CURRENT:-an empty server}" || return 1
	fi
	engine_security=$(docker info --format '{{.ServerVersion}} {{.SecurityOptions}}' 9>&-)
	# Some clients end well where no Engine answers.
	case $engine_security in
	[0-9]*) ;;
	*) put engine-away 1 && refuse 1 'the Docker Engine does not answer' || return 1 ;;
	esac
	(cd "$releases/$RELEASE" && sha256sum -c manifest >/dev/null) ||
		refuse 1 "the files of release $RELEASE are not what was uploaded" || return 1
	preflight_owner || return 1
	put slot "$(preflight_slot)"
	put old-slot "$(preflight_old_slot)"
	release_environment "${IMAGE:-sha256:unknown}" || return 1
	preflight_compose || refuse 1 'Compose refuses the rendered stack; its words are above' || return 1
	preflight_space && preflight_stack
}

# Asks Compose at once for a hash of each service, for its version, and for the stack's networks and volumes. What it
# prints of the stack is in no file: it holds the environment's values.
preflight_compose() {
	docker compose version --short 9>&- >"$run_dir/state/compose-version" &
	preflight_asking=$!
	preflight_read 2>/dev/null &
	preflight_reading=$!
	compose "$RELEASE" "$(get slot)" config --hash '*' >"$run_dir/state/hashes" || return 1
	wait "$preflight_asking" || return 1
	# What only that reading complains of has not been said.
	wait "$preflight_reading" || preflight_read
}

preflight_read() {
	{ compose "$RELEASE" "$(get slot)" config && echo '# whole'; } | preflight_shared >"$run_dir/state/networks"
}

# Of Compose's stack on standard input: `networks:NAME:` or `volumes:NAME:` and a hash of what it says of it, a line each.
preflight_shared() {
	awk '
		$0 == "# whole" { whole = 1; next }
		/^[a-z]/ { on = /^(networks|volumes):/; section = $1; next }
		on && /^  [^ ]/ { name = section $1 }
		on { block[name] = block[name] $0 "|" }
		END {
			for (name in block) print name, block[name]
			if (whole) print "# whole"
		}' | {
		shared_whole=
		while read -r shared_name shared_block; do
			[ "$shared_name $shared_block" != '# whole' ] || { shared_whole=1 && continue; }
			printf '%s %s\n' "$shared_name" "$(printf '%s' "$shared_block" | sha256sum | cut -c 1-16)"
		done
		[ -n "$shared_whole" ]
	}
}

# The slot for this release: the one that does not serve.
preflight_slot() {
	case $(preflight_old_slot) in
	blue) echo green ;;
	*) echo blue ;;
	esac
}

# The slot that serves now; `legacy` where the stack runs from before estiba; nothing on an empty server.
preflight_old_slot() {
	serving_slot
	[ -n "$EXPECT_CURRENT" ] || [ -z "$(containers "$APP_SERVICE")" ] || echo legacy
}

# Containers of this Compose project that another root made are another stack: it would be taken apart.
preflight_owner() {
	for preflight_release in $(docker ps -a --filter "label=com.docker.compose.project=$COMPOSE_PROJECT" \
		--filter 'label=estiba.slot' --filter 'label=com.docker.compose.oneoff=False' --format '{{.Label "estiba.release"}}' 9>&-); do
		[ -e "$releases/$preflight_release/settings.env" ] ||
			refuse 1 "the Compose project $COMPOSE_PROJECT on this server belongs to another root: it runs release $preflight_release, which is not under $root. Nothing was changed. A second stack on one server needs a root and a project name of its own" ||
			return 1
	done
}

preflight_space() {
	preflight_free=$(df -Pk "$root" | awk 'NR == 2 {print $4}')
	[ "$preflight_free" -ge "$NEED_KB" ] ||
		refuse 1 "the disk under $root is too full: $((preflight_free / 1024)) MB are free, this release needs $((NEED_KB / 1024)) MB"
}

# A service of the stack that would run otherwise than it does is replaced only when that was asked for.
preflight_stack() {
	[ "$(get old-slot)" != legacy ] || put replace "$PROXY_SERVICE"
	preflight_version=$(get compose-version)
	rm -f "$run_dir/state/stack"
	preflight_networks || return 1
	for preflight_service in $STACK_SERVICES $PROXY_SERVICE; do
		preflight_hash=$(sed -n "s/^$preflight_service //p" "$run_dir/state/hashes")
		preflight_known=$(grep "^$preflight_service $preflight_version " "$state/stack" 2>/dev/null)
		case $preflight_known in
		'' | *" $preflight_hash")
			printf '%s %s %s\n' "$preflight_service" "$preflight_version" "$preflight_hash" >>"$run_dir/state/stack"
			continue
			;;
		esac
		# estiba's own service holds nothing.
		case " $ALLOW_REPLACE estiba-backup " in
		*" $preflight_service "*)
			put replace "$(get replace) $preflight_service"
			printf '%s %s %s\n' "$preflight_service" "$preflight_version" "$preflight_hash" >>"$run_dir/state/stack"
			;;
		*)
			[ "$KIND" != rollback ] || {
				tell "the stack's $preflight_service stays as it is; the release that comes back had other settings for it"
				printf '%s\n' "$preflight_known" >>"$run_dir/state/stack"
				continue
			}
			refuse 1 "this release changes the stack's service $preflight_service: its container would be replaced. If that is meant, deploy with --allow-replace $preflight_service"
			return 1
			;;
		esac
	done
}

# Networks and volumes are the whole stack's: for a changed one Compose would stop every container. New ones are fine.
preflight_networks() {
	while read -r preflight_name preflight_hash; do
		preflight_known=$(grep -F ":$preflight_name $preflight_version " "$state/stack" 2>/dev/null)
		case $preflight_known in
		'' | *" $preflight_hash") printf ':%s %s %s\n' "$preflight_name" "$preflight_version" "$preflight_hash" >>"$run_dir/state/stack" ;;
		*)
			refuse 1 "this release changes ${preflight_name%:} of the Compose file, for which Compose would stop every container of the stack. Give it a new name, or take the stack down and up by hand"
			return 1
			;;
		esac
	done <"$run_dir/state/networks"
}

preflight_undo() {
	return 0
}
