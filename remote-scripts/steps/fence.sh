# shellcheck shell=sh
# fence: while migrations run, the site takes no writes (read-only) or no requests at all (maintenance). The database
# itself refuses writes; at the edge, they are answered 503 with Retry-After. `lift` takes the fence away.
# Deadline: DRAIN_TIMEOUT * apps + 300 seconds.
# A failure: undone; the release before serves all the while.

fence_do() {
	case $DURING_MIGRATIONS in
	online) note 'during-migrations is online: there is no fence' && return 0 ;;
	esac
	migrations_are_pending || { note 'no migration is pending: there is no fence' && return 0; }
	database_known || { note 'there is no database yet' && return 0; }
	database_open || return 1
	# First: by it the undo knows that there is something to undo.
	put_durably fencing 1 || return 1
	fence_edge "$DURING_MIGRATIONS" || return 1
	engine_fence || fail 'the database cannot be set to read-only' || return 1
	put fenced 1
	tell "the site is fenced ($DURING_MIGRATIONS) from now on"
}

# fence_edge MODE: requests in flight end as they were begun.
fence_edge() {
	for fence_app in $APPS; do
		[ -n "$(edge_container "$fence_app")" ] || continue
		edge_put "$fence_app" fence fence "$1" || return 1
		edge_drain "$fence_app" "$(get old-slot)" "$DRAIN_TIMEOUT" ||
			tell "$drain_open requests or open streams of $fence_app were still in flight after $DRAIN_TIMEOUT s; the database refuses their writes"
	done
}

fence_undo() {
	has fencing || return 0
	database_known || fail "the database's service $DATABASE_SERVICE has no container any more; the fence is still there" || return 1
	database_wait && engine_unfence || return 1
	for fence_app in $APPS; do
		[ "$(edge_get "$fence_app" fence)" = "$(fence_rest)" ] || [ ! -e "$edge/$fence_app/state/fence.map" ] || edge_put "$fence_app" fence fence "$(fence_rest)" || return 1
	done
	tell 'the fence is lifted'
}
