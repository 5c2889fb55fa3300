# shellcheck shell=sh
# confirm: what people see at the front is as good as it was. Where the target has a url, the client must have seen from outside that
# the site is as it should be; where it is a fleet, every host must have come this far. Its word carries the run's nonce, so that the
# word for another run counts for nothing. No word in time is a no.
# Deadline: CONFIRM_TIMEOUT + FLEET_TIME + 120 seconds.
# A failure: the edge goes back to the release before, which still runs; then undone.

confirm_do() {
	site_judge || return 1
	[ -n "$NONCE" ] || { note 'the target has no url: no check from outside' && return 0; }
	deadline_in "$CONFIRM_TIMEOUT"
	confirm_looks=0
	until [ "$(cat "$run_dir/confirmed" 2>/dev/null)" = "$NONCE" ]; do
		[ ! -e "$run_dir/denied" ] ||
			fail "$(cat "$run_dir/denied")" || return 1
		# The client waits for other hosts of the fleet.
		if [ -e "$run_dir/held" ]; then
			rm -f "$run_dir/held"
			deadline_in "$CONFIRM_TIMEOUT"
		fi
		! past_deadline ||
			fail "the client did not confirm the release within $CONFIRM_TIMEOUT s" || return 1
		confirm_looks=$((confirm_looks + 1))
		[ $((confirm_looks % 5)) != 0 ] || new_runs 'while the word of the client was waited for' || return 1
		nap 0.2
	done
	note 'the client confirms it'
}

confirm_undo() {
	return 0
}
