# shellcheck shell=sh
# Times of a schedule: five fields as in cron (minute, hour, day, month, weekday), each the list of its numbers or `*`,
# parted by `|`. The client has checked and spelled them out.

# schedule_due SCHEDULE AFTER UNTIL: is a minute due that is later than AFTER, up to UNTIL (minutes since 1970)?
schedule_due() {
	[ -n "$1" ] || return 1
	IFS='|' read -r due_minutes due_hours due_days due_months due_weekdays <<-SCHEDULE
		$1
	SCHEDULE
	due_at=$2
	while [ "$due_at" -lt "$3" ]; do
		due_at=$((due_at + 1))
		# Day 0 was a Thursday.
		if schedule_has "$due_minutes" $((due_at % 60)) && schedule_has "$due_hours" $((due_at / 60 % 24)) &&
			schedule_day "$((due_at / 1440))" "$(((due_at / 1440 + 4) % 7))"; then
			return 0
		fi
	done
	return 1
}

# schedule_day DAYS-SINCE-1970 WEEKDAY: where both the day and the weekday are given, either is enough, as in cron.
schedule_day() {
	read -r due_day due_month <<-DATE
		$(date -u -d "@$(($1 * 86400))" '+%d %m')
	DATE
	schedule_has "$due_months" "${due_month#0}" || return 1
	case "$due_days|$due_weekdays" in
	'*|'*) schedule_has "$due_weekdays" "$2" ;;
	*'|*') schedule_has "$due_days" "${due_day#0}" ;;
	*) schedule_has "$due_days" "${due_day#0}" || schedule_has "$due_weekdays" "$2" ;;
	esac
}

schedule_has() {
	[ "$1" = '*' ] && return 0
	case " $1 " in
	*" $2 "*) return 0 ;;
	esac
	return 1
}
