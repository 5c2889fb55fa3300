# shellcheck shell=sh
# static: the new release has its own static files; often `pending` has collected them already. `switch` puts them where the proxy reads.
# Deadline: 300 seconds.
# A failure: undone, a migration too where it must be; the release before serves all the while.

static_do() {
	static_old=${EXPECT_CURRENT:-legacy}
	static_each "$RELEASE" static_keep_once "$static_old" || fail 'the static files that are served now could not be kept' || return 1
	# A release that served before has its files.
	if has static-early; then
		cat "$run_dir/state/static.said"
	elif [ -e "$static_root/$RELEASE/.collected" ]; then
		# A release that served before has its files.
		note 'the release has its static files' && return 0
	else
		static_make || fail "the release's static files cannot be written" || return 1
		if [ -n "$COLLECT_STATIC" ]; then
			one_off static "$COLLECT_STATIC" || fail 'collecting the static files failed' || return 1
		else
			note 'no collect-static command is set'
		fi
	fi
	[ -z "$COLLECT_STATIC" ] || static_each "$RELEASE" static_is_there
	[ ! -d "$static_root/$RELEASE" ] || : >"$static_root/$RELEASE/.collected"
}

static_is_there() {
	[ -n "$(ls -A "$static_root/$RELEASE/$static_name")" ] ||
		tell "collecting the static files wrote nothing to $static_target, which $static_source is mounted at: is STATIC_ROOT another folder?"
}

static_undo() {
	static_unmake
	[ -n "$EXPECT_CURRENT" ] || static_drop legacy
}
