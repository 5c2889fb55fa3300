# shellcheck shell=sh
# static: the new release has its own static files. `switch` puts them where the proxy reads.
# Deadline: 300 seconds.
# A failure: undone, a migration too where it must be; the release before serves all the while.

static_do() {
	static_old=${EXPECT_CURRENT:-legacy}
	static_each "$RELEASE" static_keep_once "$static_old" || fail 'the static files that are served now could not be kept' || return 1
	# A release that served before has its files.
	[ ! -e "$static_root/$RELEASE/.collected" ] || { note 'the release has its static files' && return 0; }
	put static-made 1 || return 1
	static_each "$RELEASE" static_fill || fail "the release's static files cannot be written" || return 1
	if [ -n "$COLLECT_STATIC" ]; then
		one_off static "$COLLECT_STATIC" || fail 'collecting the static files failed' || return 1
		static_each "$RELEASE" static_is_there
	else
		note 'no collect-static command is set'
	fi
	[ ! -d "$static_root/$RELEASE" ] || : >"$static_root/$RELEASE/.collected"
}

static_is_there() {
	[ -n "$(ls -A "$static_root/$RELEASE/$static_name")" ] ||
		tell "collecting the static files wrote nothing to $static_target, which $static_source is mounted at: is STATIC_ROOT another folder?"
}

static_undo() {
	! has static-made || static_forget "$RELEASE"
	[ -n "$EXPECT_CURRENT" ] || static_drop legacy
}
