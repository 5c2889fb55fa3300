# shellcheck shell=sh
# warm: the release to go back to was kept warm: its apps still run in the other slot, and answer their health paths. Nothing has to be
# started, and nothing else of the stack has changed since.
# Deadline: 60 seconds.
# A failure: refused: nothing has changed.

warm_do() {
	warm_current=$(pointed "$root/current")
	[ "$warm_current" = "$EXPECT_CURRENT" ] ||
		refuse 6 "the server has changed: it serves ${warm_current:-nothing}, not $EXPECT_CURRENT, for which this run was planned. Nothing was changed: look at estiba status, and run it again" || return 1
	warm_read && [ "$warm_release" = "$RELEASE" ] && [ "$(pointed "$root/slots/$warm_slot")" = "$RELEASE" ] ||
		refuse 1 "release $RELEASE is not warm any more" || return 1
	put slot "$warm_slot" && put old-slot "$(serving_slot)" || return 1
	for warm_app in $APPS; do
		app_answers "$RELEASE" "$warm_app" "$warm_slot" ||
			refuse 1 "release $RELEASE was kept warm, but $warm_app of it answers ${answers_said:-nothing}" || return 1
	done
	# Its time must not end while people are sent to it.
	mv "$state/warm" "$run_dir/state/warm" || return 1
	flushed
}

warm_undo() {
	[ -e "$run_dir/state/warm" ] || return 0
	mv "$run_dir/state/warm" "$state/warm" && warm_read && warm_timer "$warm_run"
}
