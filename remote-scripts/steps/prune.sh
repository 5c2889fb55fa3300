# shellcheck shell=sh
# prune: releases beyond keep-releases go, with their image tags, and what failed runs left.
# Deadline: 300 seconds.
# A failure: finished, not undone: the new release serves.

prune_do() {
	prune_standby || return 1
	prune_kept=0
	for prune_release in $(newest_first "$releases"); do
		case $prune_release in
		"$(pointed "$root/current")" | "$(pointed "$root/previous")") continue ;;
		esac
		if [ -e "$releases/$prune_release/committed" ]; then
			prune_kept=$((prune_kept + 1))
			[ "$prune_kept" -gt "$((KEEP_RELEASES - 2))" ] || continue
		fi
		! release_is_wanted "$prune_release" || continue
		prune_release "$prune_release" || return 1
	done
	history_runs_retain "$RUN"
	for prune_content in "$root"/stack/*; do
		if [ ! -e "$prune_content" ] || [ -L "$prune_content" ]; then continue; fi
		grep -qF "/stack/${prune_content##*/}" "$releases"/*/files/stack.yml || prune_is_mounted "$prune_content" || rm -rf "$prune_content"
	done
	for prune_static in "$static_root"/*; do
		if [ ! -d "$prune_static" ] || [ -d "$releases/${prune_static##*/}" ]; then continue; fi
		static_drop "${prune_static##*/}"
	done
	prune_edges || return 1
	for prune_scripts in "$root"/bin/*; do
		if [ -L "$prune_scripts" ] || [ "$prune_scripts" = "$here" ]; then continue; fi
		[ -n "$(find "$prune_scripts" -prune -mtime -30)" ] || rm -rf "$prune_scripts"
	done
}

# prune_edges: those of apps that are none any more.
prune_edges() {
	for prune_edge in "$edge"/*/haproxy.cfg; do
		[ -e "$prune_edge" ] || continue
		prune_app=${prune_edge%/haproxy.cfg}
		prune_app=${prune_app##*/}
		case " $APPS " in *" $prune_app "*) continue ;; esac
		prune_ids=$(edge_container "$prune_app" all) || engine_lost || return 1
		for prune_id in $prune_ids; do docker rm -f "$prune_id" 9>&- >/dev/null || return 1; done
		rm -rf "${edge:?}/$prune_app"
		note "the edge of $prune_app is gone: it is no app any more"
	done
}

# prune_standby: the copy that stood by is not needed any more: the new release has been committed. Where the database
# does not answer at once, the step is tried once more, with patience, after what does not run has been started.
prune_standby() {
	prune_patience=1
	! has prune-again || prune_patience=10
	! has standby || { database_wait "$prune_patience" && standby_goes; } && return 0
	rm -f "$run_dir/reason"
	! has prune-again || { tell "the database $(standby) could not be removed; the next backup removes it" && return 0; }
	put prune-again 1
	fail 'the database does not answer'
}

# prune_is_mounted DIR: does a container mount something below it?
prune_is_mounted() {
	docker ps -aq --filter "label=com.docker.compose.project=$COMPOSE_PROJECT" 9>&- |
		xargs -r docker inspect -f '{{range .Mounts}}{{println .Source}}{{end}}' 9>&- | grep -qF "$1"
}

prune_release() {
	for prune_slot in blue green; do
		[ "$(pointed "$root/slots/$prune_slot")" != "$1" ] || {
			rm -f "$root/slots/$prune_slot"
		}
	done
	# A container whose release is gone would be taken for another root's.
	prune_ids=$(docker ps -aq --filter "label=com.docker.compose.project=$COMPOSE_PROJECT" --filter "label=estiba.release=$1" 9>&-) ||
		engine_lost || return 1
	# shellcheck disable=SC2086 # ids
	[ -z "$prune_ids" ] || docker rm -f $prune_ids 9>&- >/dev/null || fail "the containers of release $1 cannot be removed" || return 1
	for prune_image in $(setting "$1" IMAGES 2>/dev/null) :"$IMAGE_NAME"; do
		docker image rm "${prune_image#*:}:$1" 9>&- >/dev/null 2>&1
	done
	static_forget "$1"
	rm -rf "${releases:?}/$1"
	note "release $1 is gone"
}

prune_undo() {
	return 0
}
