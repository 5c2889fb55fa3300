# shellcheck shell=sh
# The release before may be kept warm: its apps go on running, without requests, so that going back to it is a switch and no start.
# The file state/warm says which, its slot, until when (seconds since 1970, UTC), and the run that kept it:
#   RELEASE SLOT UNTIL RUN
# Who takes that file away has taken the release over, or ends it; that is done under the lock alone.
# shellcheck disable=SC2154 # state comes from lib/common.sh

# warm_read: sets warm_release, warm_slot, warm_until and warm_run. Fails where none is warm.
warm_read() {
	warm_release='' warm_slot='' warm_until='' warm_run=''
	[ -e "$state/warm" ] || return 1
	read -r warm_release warm_slot warm_until warm_run <"$state/warm" || return 1
	is_word "$warm_release" && is_word "$warm_run" && is_number "$warm_until" || return 1
	case $warm_slot in blue | green) ;; *) return 1 ;; esac
}

# warm_timer RUN: ends the warm time of that run when it is over, whoever is gone by then.
warm_timer() {
	setsid sh "$here/run/cool.sh" "$root" "$1" </dev/null >/dev/null 2>&1 9>&- &
}
