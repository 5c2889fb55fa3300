# shellcheck shell=sh
# One run at a time for each root: flock on descriptor 9, which the supervisor and the driver hold
# and nothing else does, so that the kernel frees it when both are gone. Whatever they start gets 9>&-.
# shellcheck disable=SC2154 # state comes from lib/common.sh

lock_open() {
	exec 9>>"$state/lock"
}

# Who only looks holds it for a moment: that is waited out.
lock_take() {
	for lock_try in 1 2 3 4 5 6 7 8 9 10; do
		flock -n 9 && return 0
		nap 0.1
	done
	return 1
}

# lock_is_held: does somebody else hold it? Asked on a descriptor of its own, and for a shared lock, so that two who look
# at once do not take one another for a holder.
lock_is_held() {
	[ -e "$state/lock" ] || return 1
	! flock -n -s "$state/lock" true 9>&-
}

lock_sign() {
	printf '%s\n' "$1" | write_file "$state/lock.holder"
}

lock_holder() {
	cat "$state/lock.holder" 2>/dev/null || echo 'unknown'
}
