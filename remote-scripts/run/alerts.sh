#!/bin/sh
# alerts.sh ROOT send       sends the alerts that wait. Each is tried five times within some three minutes, then it is lost, which
#                           `status` says.
# alerts.sh ROOT told RUN   what became of that run's alert within a second, a line for each channel; where the server has no curl, it is left
#                           to the client
set -u

root=$1
here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
. "$here/lib/common.sh"
. "$here/lib/alerts.sh"
trap '' HUP

# said WORD CHANNEL WHY: what became of the alert in this folder by that channel, so far.
said() {
	{
		grep -v "^[a-z]* $2 " said 2>/dev/null
		printf '%s %s %s\n' "$1" "$2" "$3"
	} | write_file said
}

# lose CHANNEL: nobody will hear of it.
lose() {
	lose_why=$(sed -n "s/^[a-z]* $1 //p" said)
	{
		tail -n 4 "$state/alerts-lost" 2>/dev/null
		printf '%s by %s: %s (%s)\n' "$(utc_now)" "$1" "$(cat title)" "$lose_why"
	} | write_file "$state/alerts-lost"
	said lost "$1" "$lose_why"
	rm -f "$1.curl"
}

# send_by CHANNEL: one try.
send_by() {
	if ! command -v curl >/dev/null 2>&1; then
		said unreachable "$1" 'the server has no curl'
		return 1
	fi
	send_body=$(alert_fill . "$1")
	# What curl complains of, and a colon with the status of the answer.
	send_why=$(printf '%s\n' "$send_body" | curl -q -K "$1.curl" 2>&1)
	send_code=$?
	send_status=${send_why##*:}
	send_why=$(printf '%s' "$send_why" | sed 's/:[0-9][0-9][0-9]$//; s/^:[0-9][0-9][0-9]//' | tr '\n\t' '  ' | head -c 200)
	case $send_code:$send_status in
	0:3*) send_code=redirected send_why="it answers $send_status and not that it has taken it" ;;
	esac
	[ -n "$send_body" ] || send_code=empty
	case $send_code in
	0)
		rm -f "$1.curl"
		said sent "$1" ''
		# What was lost by this channel is told by those that come.
		if [ -e "$state/alerts-lost" ]; then
			{ grep -v "^[^ ]* by $1: " "$state/alerts-lost" && :; } | write_file "$state/alerts-lost"
			[ -s "$state/alerts-lost" ] || rm -f "$state/alerts-lost"
		fi
		return 0
		;;
	*) said trying "$1" "$send_why" ;;
	esac
	return 1
}

# send_one FOLDER: that alert, by all its channels, until each is sent or lost.
send_one() (
	cd "$1" 2>/dev/null || exit 0
	# Another one is at it.
	exec 8>>lock
	flock -n 8 || exit 0
	tries=$(cat tries 2>/dev/null)
	is_number "$tries" || tries=0
	while :; do
		left=
		for file in *.curl; do
			[ ! -e "$file" ] || send_by "${file%.curl}" || left=1
		done
		[ -n "$left" ] || break
		# In the container of the backup service there is none: the watch on the host has it, half a minute later. Where that has none
		# either, the client had a minute.
		if ! command -v curl >/dev/null 2>&1; then
			[ "${ALERTS_FROM:-}" = host ] && [ -n "$(find title -mmin +1)" ] || exit 0
			tries=5
		fi
		tries=$((tries + 1))
		printf '%s\n' "$tries" >tries
		if [ "$tries" -ge 5 ]; then
			for file in *.curl; do
				[ ! -e "$file" ] || lose "${file%.curl}"
			done
			break
		fi
		case $tries in 1) pause=5 ;; 2) pause=15 ;; 3) pause=45 ;; *) pause=120 ;; esac
		sleep "$pause" 8>&-
	done
	[ ! -d "$runs/${1##*/}" ] || cp said "$runs/${1##*/}/alerts" 2>/dev/null
	rm -rf "$1"
)

# has_been_tried FOLDER: has each channel something to say?
has_been_tried() {
	for tried_file in "$1"/*.curl; do
		tried_channel=${tried_file##*/}
		[ ! -e "$tried_file" ] || grep -q "^[a-z]* ${tried_channel%.curl} " "$1/said" 2>/dev/null || return 1
	done
	return 0
}

case $2 in
send)
	for folder in "$alerts"/*/; do
		[ ! -d "$folder" ] || send_one "${folder%/}" &
	done
	wait
	;;
told)
	is_word "$3" || exit 2
	folder=$alerts/$3
	echo 'estiba:alerts'
	deadline_in 1
	while [ -d "$folder" ] && ! has_been_tried "$folder" && ! past_deadline; do nap 0.05; done
	cat "$folder/said" 2>/dev/null || cat "$runs/$3/alerts" 2>/dev/null
	for file in "$folder"/*.curl; do
		channel=${file##*/}
		channel=${channel%.curl}
		[ -e "$file" ] && grep -q "^unreachable $channel " "$folder/said" && mv "$file" "$folder/$channel.left" 2>/dev/null && echo "left $channel"
	done
	echo 'estiba:end'
	;;
esac
