# shellcheck shell=sh
# Compose and containers. Each call to Compose sees exactly one release: its stack file, its file for
# one slot, its environment. The other slot's services are not in that model, so nothing done to one
# release can recreate a container of the other.
# shellcheck disable=SC2154 # the settings come from lib/settings.sh

# docker_alone ARG…: docker without the caller's environment, which would win over the env file.
docker_alone() {
	env -i PATH="$PATH" HOME="${HOME:-/}" ${DOCKER_HOST:+"DOCKER_HOST=$DOCKER_HOST"} \
		${DOCKER_CONFIG:+"DOCKER_CONFIG=$DOCKER_CONFIG"} ${DOCKER_CONTEXT:+"DOCKER_CONTEXT=$DOCKER_CONTEXT"} \
		${XDG_RUNTIME_DIR:+"XDG_RUNTIME_DIR=$XDG_RUNTIME_DIR"} COMPOSE_IGNORE_ORPHANS=1 docker "$@"
}

# compose RELEASE SLOT ARG…: `docker compose ARG…` for that release in that slot. compose_more: one more file, where a step
# needs one.
compose_more=
compose() {
	compose_dir=$releases/$1
	compose_slot=$2
	shift 2
	compose_env=$(setting "${compose_dir##*/}" ENV_FILE)
	docker_alone compose --ansi never -p "$COMPOSE_PROJECT" --project-directory "$compose_dir/files" \
		--env-file "$compose_dir/files/$compose_env" --env-file "$compose_dir/estiba.env" \
		-f "$compose_dir/files/stack.yml" -f "$compose_dir/files/slot-$compose_slot.yml" \
		${compose_more:+-f "$compose_more"} "$@" 9>&-
}

# release_environment: what the rendered files are filled with on this server: the images by their ids, the first one as
# IMAGE, the others in IMAGE_IDS or, for a release that was here before, in its file `images`. The backup service works as who
# deploys, and as one who may speak to the Engine. engine_security: what the Engine says of that, where it was asked.
release_environment() {
	environment_socket=$(docker context inspect -f '{{.Endpoints.docker.Host}}' 9>&- 2>/dev/null)
	environment_socket=${DOCKER_HOST:-$environment_socket}
	case $environment_socket in
	unix://*) environment_socket=${environment_socket#unix://} ;;
	*) environment_socket=/var/run/docker.sock ;;
	esac
	# With a rootless Engine root in the container is the user who deploys.
	case ${engine_security:-$(docker info --format '{{.SecurityOptions}}' 9>&-)} in
	*name=rootless*) environment_user=0:0 ;;
	*) environment_user=$(id -u):$(id -g) ;;
	esac
	{
		printf '%s=%s\n' ESTIBA_RELEASE "$RELEASE" ESTIBA_USER "$environment_user" ESTIBA_DOCKER_SOCKET "$environment_socket" \
			ESTIBA_DOCKER_GROUP "$(stat -L -c %g "$environment_socket" 2>/dev/null || echo 0)" ESTIBA_EDGE_IMAGE "${edge_image:-edge}"
		# shellcheck disable=SC2153 # a setting of the release
		for environment_image in $IMAGES; do
			environment_variable=${environment_image%%:*}
			printf '%s=%s\n' "$environment_variable" "$(image_id "$environment_variable")"
		done
	} | write_file "$releases/$RELEASE/estiba.env"
}

# image_id VARIABLE: the id of the image that stands in it.
image_id() {
	case $1 in
	ESTIBA_IMAGE) [ -z "$IMAGE" ] || { printf '%s\n' "$IMAGE" && return 0; } ;;
	esac
	for id_pair in ${IMAGE_IDS:-}; do
		[ "${id_pair%%=*}" != "$1" ] || { printf '%s\n' "${id_pair#*=}" && return 0; }
	done
	id_known=$(sed -n "s/^$1 //p" "$releases/$RELEASE/images" 2>/dev/null)
	printf '%s\n' "${id_known:-sha256:unknown}"
}

# containers SERVICE [all]: ids of the service's running (or all) containers, one a line. None is not the same as no
# answer: a look that failed is written down, and no step in which one did is done (see step.sh).
containers() {
	docker ps ${2:+-a} -q --no-trunc --filter "label=com.docker.compose.project=$COMPOSE_PROJECT" \
		--filter "label=com.docker.compose.service=$1" --filter 'label=com.docker.compose.oneoff=False' 9>&- && return 0
	: >"$run_dir/state/engine-lost"
	return 1
}

engine_lost() {
	put engine-away 1
	fail 'the Docker Engine does not answer'
}

# slot_containers APP SLOT: ids of the running containers of the app in that slot; `legacy` is what runs from before estiba.
slot_containers() {
	case $2 in
	legacy) legacy_containers "$1" ;;
	*) containers "$1-$2" ;;
	esac
}

# legacy_containers APP [all]: the containers under the app's own name that are no edge.
legacy_containers() {
	legacy_found=$(containers "$1" "${2:-}") && legacy_edges=$(edge_container "$1" all) || return 1
	for legacy_id in $legacy_found; do
		case "$legacy_edges" in
		*"$legacy_id"*) ;;
		*) printf '%s\n' "$legacy_id" ;;
		esac
	done
}

# running SERVICE…: ids of the running containers of all of them.
running() {
	for running_service in "$@"; do containers "$running_service" || return 1; done
}

# serving_slot: the slot of the release that serves; nothing on an empty server, or before estiba.
serving_slot() {
	for serving_try in blue green; do
		[ -z "$EXPECT_CURRENT" ] || [ "$(pointed "$root/slots/$serving_try")" != "$EXPECT_CURRENT" ] || echo "$serving_try"
	done
}

# slot_workers SLOT: the services of this release's workers in that slot.
slot_workers() {
	for slot_worker in $WORKERS; do slot_service_name "$slot_worker" "$1"; done
}

# new_runs WHEN: are the new release's containers those that `start` made, and do they run?
new_runs() {
	while read -r new_id new_was; do
		new_is=$(incarnation "$new_id")
		[ "$new_is" = "$new_was" ] || {
			last_lines "$new_id"
			fail "the new release's container stopped by itself $1 (${new_is%% *}, exit status ${new_is##* })"
			return 1
		}
	done <"$run_dir/state/incarnations"
}

# old_settings: what the release that serves calls its apps and workers. A stack from before estiba has the names of the
# Compose file.
old_settings() {
	OLD_APPS=$APPS
	OLD_WORKERS=$WORKERS
	[ -e "$releases/${EXPECT_CURRENT:-none}/settings.env" ] || return 0
	OLD_APPS=$(apps_of "$EXPECT_CURRENT")
	OLD_WORKERS=$(setting "$EXPECT_CURRENT" WORKERS)
}

# old_apps: the services of the old release's apps; old_workers: those of its workers; old_services: both.
old_apps() {
	for old_service in $OLD_APPS; do
		slot_service_name "$old_service" "$(get old-slot)"
	done
}

old_workers() {
	for old_service in $OLD_WORKERS; do
		slot_service_name "$old_service" "$(get old-slot)"
	done
}

old_services() {
	old_apps
	old_workers
}

# old_running [SERVICE…]: ids of the old release's running containers, of these services where some are named.
old_running() {
	# shellcheck disable=SC2086 # service names, none with a space
	[ $# -gt 0 ] || set -- $OLD_APPS $OLD_WORKERS
	for old_service in "$@"; do slot_containers "$old_service" "$(get old-slot)" || return 1; done
}

# slot_apps SLOT: the services of this release's apps in that slot; slot_jobs: those of its jobs.
slot_apps() {
	for slot_app in $APPS; do slot_service_name "$slot_app" "$1"; done
}

slot_jobs() {
	for slot_job in $JOBS; do slot_service_name "$slot_job" "$1"; done
}

slot_service_name() {
	case $2 in
	legacy) echo "$1" ;;
	*) echo "$1-$2" ;;
	esac
}

# stop_services SERVICE…: stops the running containers of these services, all at once.
stop_services() {
	stop_ids=$(running "$@") || engine_lost || return 1
	stop_containers "$stop_ids"
}

# stop_containers IDS: those of which a stop began are kept in the file `stopping`, see start_again.
stop_containers() {
	[ -n "$1" ] || return 0
	# shellcheck disable=SC2086 # as below
	printf '%s\n' $1 >>"$run_dir/state/stopping" || return 1
	# shellcheck disable=SC2086 # ids, none with a space
	docker stop $1 9>&- >/dev/null
}

# start_again ID…: they run again. Where this run's stop of one was cut off, the Engine goes on with it by itself: until that is over
# the container counts as one that runs, a start does nothing, and then it is down. So the end of the stop is waited for.
start_again() {
	for again_id in "$@"; do
		! grep -qx "$again_id" "$run_dir/state/stopping" 2>/dev/null || docker stop "$again_id" 9>&- >/dev/null || return 1
		docker start "$again_id" 9>&- >/dev/null || return 1
	done
}

# start_stopped: the containers of the old release that `start` stopped for the recreate strategy run again.
start_stopped() {
	# shellcheck disable=SC2046 # ids, none with a space
	start_again $(get old-stopped)
}

remove_services() {
	for remove_service in "$@"; do
		remove_found=$(containers "$remove_service" all) || engine_lost || return 1
		for remove_id in $remove_found; do
			docker rm -f "$remove_id" 9>&- >/dev/null || return 1
		done
	done
}

address() {
	docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}' "$1" 9>&- | tr ' ' '\n' | grep -m 1 .
}

# incarnation CONTAINER: what changes when the container is started again, and whether it runs.
incarnation() {
	docker inspect -f '{{.State.Status}} {{.RestartCount}} {{.State.StartedAt}} {{.State.ExitCode}}' "$1" 9>&- 2>/dev/null ||
		echo 'gone - - -'
}

last_lines() {
	note "last lines of $(docker inspect -f '{{.Name}}' "$1" 9>&- | tr -d /):"
	docker logs --tail 20 "$1" 9>&- 2>&1 | awk '
		$0 == last { again++; next }
		again { print "| (" again " times more)"; again = 0 }
		{ print "| " $0; last = $0 }
		END { if (again) print "| (" again " times more)" }'
}

# one_off NAME WORDS [STATE]: runs the command (shell-quoted words) in a container of its own from the new image, with the
# NAME=VALUE lines of that state in its environment. one_off_service: the service, where it is not the first app's;
# one_off_past_entry: the image's entry script is passed by.
one_off_service=
one_off_past_entry=
one_off() {
	one_off_name=$1
	one_off_lines=$([ -z "${3:-}" ] || get "$3")
	eval "set -- $2"
	if [ -n "$one_off_past_entry" ]; then
		one_off_program=$1
		shift
		set -- --entrypoint "$one_off_program" "${one_off_service:-$APP_SERVICE}-$(get slot)" "$@"
	else
		set -- "${one_off_service:-$APP_SERVICE}-$(get slot)" "$@"
	fi
	while IFS= read -r one_off_line; do
		[ -z "$one_off_line" ] || set -- -e "$one_off_line" "$@"
	done <<-LINES
		$one_off_lines
	LINES
	compose "$RELEASE" "$(get slot)" run --rm --no-deps -T --name "$COMPOSE_PROJECT-$one_off_name-$RUN" \
		--label "estiba.run=$RUN" "$@"
}
