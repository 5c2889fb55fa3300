# shellcheck shell=sh
# confirm: where the target has a url, the client must have seen from outside that the site is as it should be; where
# it is a fleet, every host must have come this far. Its word carries the run's nonce, so that the word for another run
# counts for nothing. No word in time is a no.

confirm_do() {
	[ -n "$NONCE" ] || { note 'the target has no url: nobody looks from outside' && return 0; }
	deadline_in "$CONFIRM_TIMEOUT"
	confirm_looks=0
	until [ "$(cat "$run_dir/confirmed" 2>/dev/null)" = "$NONCE" ]; do
		[ ! -e "$run_dir/denied" ] ||
			fail "$(cat "$run_dir/denied")" || return 1
		! past_deadline ||
			fail "within $CONFIRM_TIMEOUT s the client gave no word that all is as it should be" || return 1
		confirm_looks=$((confirm_looks + 1))
		[ $((confirm_looks % 5)) != 0 ] || new_runs 'while the word of the client was waited for' || return 1
		nap 0.2
	done
	note 'the client confirms it'
}

confirm_undo() {
	return 0
}
