# shellcheck shell=sh
# static: the new release's static files are where the proxy reads them.

static_do() {
	[ -n "$COLLECT_STATIC" ] || { note 'no collect-static command is set' && return 0; }
	one_off static "$COLLECT_STATIC" || fail 'collecting the static files failed' || return 1
}

# The old release's own files again, from its running container.
static_undo() {
	[ -n "$COLLECT_STATIC" ] && [ -n "$(get old-slot)" ] && grep -qx 'done static' "$run_dir/steps" || return 0
	static_container=$(slot_containers "$APP_SERVICE" "$(get old-slot)" | head -n 1)
	[ -n "$static_container" ] || return 0
	eval "set -- $COLLECT_STATIC"
	docker exec "$static_container" "$@" 9>&- || note "the old release's static files could not be collected again"
	return 0
}
