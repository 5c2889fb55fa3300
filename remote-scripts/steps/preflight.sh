# shellcheck shell=sh
# preflight: everything that can be known to be wrong before anything is touched.
# Deadline: 300 seconds.
# A failure: refused: nothing has changed.

preflight_do() {
	preflight_current=$(pointed "$root/current")
	if [ "$preflight_current" != "$EXPECT_CURRENT" ]; then
		refuse 6 "the server has changed: it serves ${preflight_current:-nothing}, not ${EXPECT_CURRENT:-an empty server}, for which this run was planned. Nothing was changed: look at estiba status, and run it again" || return 1
	fi
	engine_security=$(docker info --format '{{.ServerVersion}} {{.SecurityOptions}}' 9>&-)
	# Some clients end well where no Engine answers.
	case $engine_security in
	[0-9]*) ;;
	*) put engine-away 1 && refuse 1 'the Docker Engine does not answer' || return 1 ;;
	esac
	(cd "$releases/$RELEASE" && sha256sum -c manifest >/dev/null) ||
		refuse 1 "the files of release $RELEASE are damaged: deploy its commit again" || return 1
	[ -e "$releases/$RELEASE/apps" ] || [ "$KIND" != rollback ] ||
		refuse 1 "no rollback is possible to release $RELEASE, made by an estiba without edges: deploy that commit again" || return 1
	is_number "$PROTOCOL" && [ "$PROTOCOL" -le "$protocol" ] ||
		refuse 1 "release $RELEASE was made by a newer estiba than this one (its protocol is $PROTOCOL, and this one knows $protocol): use that version" || return 1
	preflight_owner || return 1
	put slot "$(preflight_slot)"
	put old-slot "$(preflight_old_slot)"
	# Before anything is touched.
	picture_before &
	preflight_picture=$!
	release_environment || return 1
	preflight_compose || refuse 1 'Compose rejects the rendered stack; its output is above' || return 1
	preflight_space && preflight_stack && preflight_ports && preflight_same_ports && preflight_canary || return 1
	wait "$preflight_picture" || rm -f "$run_dir/state/before"
	[ "$KIND" != deploy ] || preflight_old_down
}

# preflight_old_down: has an Engine that was killed taken the release that serves down, and its edges with it? Where an edge runs,
# somebody has stopped the release on purpose. Nor is it started where something of an earlier run is left in the other slot, which
# may be what cannot run twice.
preflight_old_down() {
	has before || return 0
	case $(get old-slot) in blue | green) ;; *) return 0 ;; esac
	for preflight_app in $OLD_APPS; do
		! grep -q "^container $(slot_service_name "$preflight_app" "$(get old-slot)") " "$run_dir/state/before" || return 0
		preflight_there=$(edge_container "$preflight_app") && [ -z "$preflight_there" ] || return 0
		for preflight_service in $(slot_apps "$(get slot)") $(slot_workers "$(get slot)"); do
			preflight_there=$(containers "$preflight_service") && [ -z "$preflight_there" ] || return 0
		done
	done
	put old-down 1
}

# preflight_canary: can the edges that are there send a share of the visitors to one slot?
preflight_canary() {
	case " $STEPS " in *' canary '*) ;; *) return 0 ;; esac
	for preflight_app in $APPS; do
		case " $ALLOW_REPLACE " in *" $preflight_app "*) continue ;; esac
		app_read "$RELEASE" "$preflight_app" || return 1
		if [ -z "$(app_http_ports)" ] || [ ! -e "$edge/$preflight_app/haproxy.cfg" ]; then continue; fi
		grep -q state/canary.map "$edge/$preflight_app/haproxy.cfg" ||
			refuse 1 "the edge of $preflight_app was made by an older estiba and cannot send a share of the visitors to a canary: replace it once, estiba deploy --allow-replace $preflight_app" || return 1
	done
}

# Asks Compose for the stack's networks, volumes and ports, and for a hash of each service. The hash is of what Compose has read: in
# the files themselves an `env_file` is a path in the release, another one with each, and its values do not count. What Compose prints
# of the stack is in no file: it holds the environment's values.
preflight_compose() {
	docker compose version --short 9>&- >"$run_dir/state/compose-version.read" &
	preflight_asking=$!
	rm -f "$run_dir/state/read" && mkfifo "$run_dir/state/read" || return 1
	preflight_hashes <"$run_dir/state/read" >"$run_dir/state/hashes" &
	preflight_hashing=$!
	{ compose "$RELEASE" "$(get slot)" config && echo '# whole'; } | tee "$run_dir/state/read" | preflight_shared >"$run_dir/state/networks"
	preflight_whole=$?
	wait "$preflight_hashing" && [ "$preflight_whole" = 0 ] && wait "$preflight_asking" || return 1
	rm -f "$run_dir/state/read"
	# How hashes are made belongs to what they are compared by.
	sed 's/$/+read/' "$run_dir/state/compose-version.read" | write_file "$run_dir/state/compose-version"
}

# preflight_hashes: of the stack on standard input, as Compose printed it.
preflight_hashes() {
	docker_alone compose --ansi never -p "$COMPOSE_PROJECT" --project-directory "$releases/$RELEASE/files" \
		--env-file "$releases/$RELEASE/files/$ENV_FILE" --env-file "$releases/$RELEASE/estiba.env" -f - config --hash '*' 9>&- 2>/dev/null
}

# Of Compose's stack on standard input: `networks:NAME:` or `volumes:NAME:` and a hash of what it says of it, a line each.
preflight_shared() {
	: >"$run_dir/state/ports"
	awk -v ports="$run_dir/state/ports" '
		$0 == "# whole" { whole = 1; next }
		section == "services:" && /^  [^ ]+:$/ { service = substr($1, 1, length($1) - 1) }
		$1 == "host_ip:" { address = $2 }
		$1 == "published:" { gsub(/[^0-9-]/, "", $2); published = $2 }
		$1 == "protocol:" && published != "" { if ($2 == "tcp") print service, published, (address == "" ? "0.0.0.0" : address) >>ports; published = address = "" }
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
	[ -z "$EXPECT_CURRENT" ] || return 0
	for preflight_app in $APPS; do
		[ -z "$(legacy_containers "$preflight_app")" ] || { echo legacy && return 0; }
	done
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

# A service of the stack that would run otherwise than it does is replaced only when that was asked for. All that would be are
# told at once.
preflight_stack() {
	preflight_version=$(get compose-version)
	rm -f "$run_dir/state/stack"
	preflight_networks || return 1
	preflight_refused=
	preflight_allow=
	for preflight_service in $STACK_SERVICES $STACK_AFTER_JOBS $STACK_AFTER_APPS $STACK_JOBS $APPS; do
		preflight_hash=$(sed -n "s/^$preflight_service //p" "$run_dir/state/hashes")
		preflight_known=$(grep "^$preflight_service $preflight_version " "$state/stack" 2>/dev/null)
		preflight_why=
		case $preflight_known in
		'' | *" $preflight_hash") ;;
		*) preflight_why='its settings' ;;
		esac
		[ -n "$preflight_why" ] || ! preflight_files_changed "$preflight_service" || preflight_why='files that it reads only when it starts'
		preflight_one || return 1
	done
	[ -z "$preflight_refused" ] ||
		refuse 1 "this release changes services of the stack, whose containers would be replaced:$preflight_refused. If that is meant, deploy with$preflight_allow"
}

# preflight_one: what becomes of preflight_service, which is another than before for preflight_why; nothing where it is not.
preflight_one() {
	[ -n "$preflight_why" ] || {
		printf '%s %s %s\n' "$preflight_service" "$preflight_version" "$preflight_hash" >>"$run_dir/state/stack"
		return 0
	}
	# A rollback leaves the stack as it is; an edge must know the release's ports.
	case "$KIND: $APPS " in
	rollback:*" $preflight_service "*)
		put replace "$(get replace) $preflight_service"
		printf '%s %s %s\n' "$preflight_service" "$preflight_version" "$preflight_hash" >>"$run_dir/state/stack"
		return 0
		;;
	rollback:*)
		tell "the stack's $preflight_service stays as it is; the release that comes back had other settings for it"
		put stays "$(get stays) $preflight_service"
		printf '%s\n' "$preflight_known" >>"$run_dir/state/stack"
		return 0
		;;
	esac
	# estiba's own service holds nothing, and a job does not run.
	case " $ALLOW_REPLACE estiba-backup $STACK_JOBS " in
	*" $preflight_service "*)
		put replace "$(get replace) $preflight_service"
		printf '%s %s %s\n' "$preflight_service" "$preflight_version" "$preflight_hash" >>"$run_dir/state/stack"
		return 0
		;;
	esac
	if [ -n "$EXPECT_CURRENT" ] && [ ! -e "$releases/$EXPECT_CURRENT/apps" ]; then
		note "$preflight_service was deployed by an estiba before edges, and its container stays as it is"
		printf '%s %s %s\n' "$preflight_service" "$preflight_version" "$preflight_hash" >>"$run_dir/state/stack"
	else
		tell "$preflight_service would be replaced: this release changes $preflight_why"
		[ "$preflight_service" != "$DATABASE_SERVICE" ] || preflight_credentials
		preflight_refused="$preflight_refused $preflight_service"
		preflight_allow="$preflight_allow --allow-replace $preflight_service"
	fi
}

# preflight_credentials: the images of databases read some variables only while their data folder is empty.
preflight_credentials() {
	preflight_id=$(containers "$preflight_service" all | head -n 1)
	[ -n "$preflight_id" ] || return 0
	preflight_config=$(compose "$RELEASE" "$(get slot)" config --format json "$preflight_service" 2>/dev/null)
	preflight_given=$(docker inspect -f '{{range .Config.Env}}{{println (json .)}}{{end}}' "$preflight_id" 9>&-)
	for preflight_name in POSTGRES_PASSWORD POSTGRES_USER POSTGRES_DB MYSQL_ROOT_PASSWORD MYSQL_PASSWORD MYSQL_USER MYSQL_DATABASE \
		MARIADB_ROOT_PASSWORD MARIADB_PASSWORD MARIADB_USER MARIADB_DATABASE; do
		preflight_has=$(printf '%s\n' "$preflight_given" |
			sed -n "s/^\"$preflight_name=\(.*\)\"\$/\1/p" | sed 's/\$/$$/g')
		preflight_gets=$(printf '%s\n' "$preflight_config" |
			sed -n "s/^ *\"$preflight_name\": \"\(.*\)\",\{0,1\}\$/\1/p" | head -n 1)
		if [ -z "$preflight_has" ] || [ "$preflight_has" = "$preflight_gets" ]; then continue; fi
		tell "$preflight_name of $preflight_service has another value. Its image reads that only while the data folder is empty: the database keeps the old value and refuses a login with the new one. Nothing was changed. Change it in the database first (PostgreSQL: ALTER ROLE … PASSWORD …; MySQL: ALTER USER … IDENTIFIED BY …), then deploy with --allow-replace $preflight_service"
	done
}

# preflight_files_changed SERVICE: does it mount files that are others in this release, and can it not read them while it runs?
preflight_files_changed() {
	[ -n "$(containers "$1")" ] && ! grep -q "^$1	" "$releases/$RELEASE/stack.reloads" || return 1
	while IFS='	' read -r preflight_mounts preflight_path; do
		if [ "$preflight_mounts" != "$1" ] || [ ! -e "$root/stack/$preflight_path" ]; then continue; fi
		preflight_there=$root/stack/$preflight_path
		! stack_is_written "$preflight_path" || preflight_there=$releases/$EXPECT_CURRENT/stack/$preflight_path
		diff -r "$releases/$RELEASE/stack/$preflight_path" "$preflight_there" >/dev/null 2>&1 || return 0
	done <"$releases/$RELEASE/stack.files"
	return 1
}

# Networks and volumes are the whole stack's: for a changed one Compose would stop every container. New ones are fine.
preflight_networks() {
	while read -r preflight_name preflight_hash; do
		preflight_known=$(grep -F ":$preflight_name $preflight_version " "$state/stack" 2>/dev/null)
		case $preflight_known in
		'' | *" $preflight_hash") printf ':%s %s %s\n' "$preflight_name" "$preflight_version" "$preflight_hash" >>"$run_dir/state/stack" ;;
		*)
			refuse 1 "this release changes ${preflight_name%:} of the Compose file, and Compose would stop the whole stack for that. Give it a new name, or take the stack down and up by hand"
			return 1
			;;
		esac
	done <"$run_dir/state/networks"
}

# The ports of the host that the stack publishes are free, or held by this very stack.
preflight_ports() {
	preflight_taken=
	while IFS= read -r preflight_port; do
		case $preflight_port in '' | *[!0-9]*) continue ;; esac
		preflight_holder=$(docker ps --filter "publish=$preflight_port" --format '{{.Names}} {{.Label "com.docker.compose.project"}}' 9>&- | head -n 1)
		case $preflight_holder in
		*" $COMPOSE_PROJECT") continue ;;
		?*)
			preflight_taken="$preflight_taken $preflight_port (by the container ${preflight_holder%% *})"
			continue
			;;
		esac
		preflight_hex=$(printf '%04X' "$preflight_port")
		! cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk -v port=":$preflight_hex" '$4 == "0A" && substr($2, length($2) - 4) == port { found = 1 } END { exit !found }' ||
			preflight_taken="$preflight_taken $preflight_port ($(preflight_program "$preflight_port"))"
	done <<-PORTS
		$(cut -d ' ' -f 2 "$run_dir/state/ports" | sort -u)
	PORTS
	[ -z "$preflight_taken" ] ||
		refuse 1 "ports that this stack publishes are taken by others on the server:$preflight_taken. Nothing was changed: stop what holds them, or publish other ports"
}

# An app that is taken over answers where it answered before: a variable that only the old stack's own .env has would move it.
preflight_same_ports() {
	[ "$(get old-slot)" = legacy ] || return 0
	preflight_moved=
	for preflight_app in $APPS; do
		case " $ALLOW_REPLACE " in *" $preflight_app "*) continue ;; esac
		for preflight_id in $(legacy_containers "$preflight_app"); do
			while read -r preflight_port preflight_address; do
				[ -n "$preflight_port" ] || continue
				grep -qxF "$preflight_app $preflight_port ${preflight_address:-0.0.0.0}" "$run_dir/state/ports" ||
					preflight_moved="$preflight_moved $preflight_app (on ${preflight_address:-0.0.0.0}:$preflight_port)"
			done <<-PORTS
				$(docker inspect -f '{{range $port, $bindings := .HostConfig.PortBindings}}{{range $bindings}}{{println .HostPort .HostIp}}{{end}}{{end}}' "$preflight_id" 9>&-)
			PORTS
		done
	done
	[ -z "$preflight_moved" ] || refuse 1 "the running stack publishes ports that this release does not:$preflight_moved. This release publishes $(awk '{ print $1 " on " $3 ":" $2 }' "$run_dir/state/ports" | paste -s -d ',' -). Nothing was changed: give the env file of this target the variables that the running stack has, or deploy with --allow-replace and the app's name if that is meant"
}

# preflight_program PORT: who listens there, as far as this user may see.
preflight_program() {
	preflight_who=$(ss -H -l -t -n -p "sport = :$1" 2>/dev/null | sed -n 's/.*users:(("\([^"]*\)".*/\1/p' | head -n 1)
	printf 'by %s' "${preflight_who:-a program outside any container}"
}

# What was sent for this release alone goes again: `image` would have given it a name that stays.
preflight_undo() {
	case $KIND in deploy) ;; *) return 0 ;; esac
	for preflight_image in $IMAGES; do
		docker image rm "${preflight_image#*:}:estiba-build" 9>&- >/dev/null 2>&1
	done
	return 0
}
