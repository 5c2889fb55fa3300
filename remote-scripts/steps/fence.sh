# shellcheck shell=sh
# fence: while migrations run, the site takes no writes (read-only) or no requests at all (maintenance). The database
# itself refuses writes; at the edge, they are answered 503 with Retry-After. `lift` takes the fence away.

fence_do() {
	case $DURING_MIGRATIONS in
	online) note 'during-migrations is online: there is no fence' && return 0 ;;
	esac
	migrations_are_pending || { note 'no migration is pending: there is no fence' && return 0; }
	database_known || { note 'there is no database yet' && return 0; }
	database_open || return 1
	# First: by it the undo knows that there is something to undo.
	put fencing 1 || return 1
	fence_edge "$DURING_MIGRATIONS" || return 1
	engine_fence || fail 'the database cannot be set to read-only' || return 1
	put fenced 1
	tell "the site is fenced ($DURING_MIGRATIONS) from now on"
}

# fence_edge MODE: requests in flight end as they were begun.
fence_edge() {
	case $(get old-slot) in
	'' | legacy) return 0 ;;
	esac
	edge_switch "$EXPECT_CURRENT" "$(get old-slot)" '' "$1" || return 1
	edge_drain "$DRAIN_TIMEOUT" || tell "some requests were still in flight after $DRAIN_TIMEOUT s"
}

fence_undo() {
	has fencing || return 0
	database_known || fail "the database's service $DATABASE_SERVICE does not run; the fence is still there" || return 1
	database_wait && engine_unfence || return 1
	if edge_is_fenced; then
		edge_switch "$EXPECT_CURRENT" "$(get old-slot)" || return 1
	fi
	tell 'the fence is lifted'
}
