#!/bin/sh
# watch.sh ROOT [again]: looks at the site between deploys, as [watch] of the release that serves says, for as long as it says so: what
# is wrong twice in a row is told by an alert, and told again when it is over. One for each root: another one ends at once.
set -u

root=$1
here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
for part in common settings journal lock compose http edge apps alerts; do
	. "$here/lib/$part.sh"
done
trap '' HUP

[ "${2:-}" = again ] || exec 8>>"$state/watch.lock"
flock -n 8 || exit 0
RELEASE=$(pointed "$root/current")
[ -n "$RELEASE" ] && [ -e "$releases/$RELEASE/settings.env" ] || exit 0
EXPECT_CURRENT=$RELEASE
RUN=watch
read_release "$RELEASE"
[ "$WATCH_EVERY" -gt 0 ] || exit 0
run_dir=$state/watch
step=watch
(umask 077 && mkdir -p "$run_dir/state" "$run_dir/seen" "$run_dir/told") || exit 1

# wrong KIND WORDS: something is, at this look.
wrong() {
	printf '%s\t%s\n' "$1" "$2" >>"$run_dir/now"
}

look_at_apps() {
	look_slot=$(serving_slot)
	for look_app in $APPS; do
		app_answers "$RELEASE" "$look_app" "$look_slot" && continue
		case $app_path in
		-) wrong "app-$look_app" "$look_app takes no connections" ;;
		*) wrong "app-$look_app" "$look_app answers $app_path with $answers_said, not $app_status" ;;
		esac
	done
}

# Of each container of the stack and of the slot that serves: is it up, is it well, does it start again and again?
look_at_containers() {
	look_wanted=" $STACK_SERVICES $STACK_AFTER_JOBS $STACK_AFTER_APPS $APPS"
	for look_service in $APPS $WORKERS; do look_wanted="$look_wanted $(slot_service_name "$look_service" "$(serving_slot)")"; done
	look_ids=$(docker ps -aq --filter "label=com.docker.compose.project=$COMPOSE_PROJECT" --filter 'label=com.docker.compose.oneoff=False' 8>&-) || {
		wrong engine 'the Docker Engine does not answer'
		return
	}
	# shellcheck disable=SC2086 # ids, none with a space
	[ -z "$look_ids" ] || docker inspect -f '{{index .Config.Labels "com.docker.compose.service"}} {{.State.Status}} {{.RestartCount}} {{printf "%.12s" .Id}} {{with index .State "Health"}}{{.Status}}{{end}}' $look_ids 2>/dev/null 8>&- |
		while read -r look_service look_state look_restarts look_id look_health; do
			case "$look_wanted " in *" $look_service "*) ;; *) continue ;; esac
			look_before=$(sed -n "s/^$look_id //p" "$run_dir/state/restarts" 2>/dev/null)
			printf '%s %s\n' "$look_id" "$look_restarts" >>"$run_dir/state/restarts.now"
			case $look_state:$look_health in
			running:unhealthy) wrong "service-$look_service" "$look_service is unhealthy" ;;
			running:*)
				if [ "$look_restarts" -gt "${look_before:-$look_restarts}" ]; then
					wrong "service-$look_service" "$look_service starts again and again ($look_restarts times)"
				fi
				;;
			*) wrong "service-$look_service" "$look_service is $look_state" ;;
			esac
		done
	mv "$run_dir/state/restarts.now" "$run_dir/state/restarts" 2>/dev/null
}

look_at_disks() {
	look_docker=$(docker info --format '{{.DockerRootDir}}' 2>/dev/null 8>&-)
	df -P "$root" "${look_docker:-$root}" 2>/dev/null | awk -v most="$WATCH_DISK" '
		NR > 1 && !seen[$6]++ { used = $5 + 0; if (used >= most) print $6 " " used }' |
		while read -r look_place look_used; do
			wrong "disk$(printf '%s' "$look_place" | tr '/' '-')" "the disk of $look_place is used to $look_used %"
		done
}

# The certificate is asked for every ten minutes: others count who comes.
look_at_certificate() {
	case ${SITE_URL:-} in https://*) ;; *) return 0 ;; esac
	command -v openssl >/dev/null 2>&1 || return 0
	uptime_cs
	look_next=$(cat "$run_dir/state/certificate.next" 2>/dev/null || echo 0)
	is_number "$look_next" || look_next=0
	# After a restart of the machine its clock begins again.
	if [ "$uptime_cs" -ge "$look_next" ] || [ "$((look_next - uptime_cs))" -gt 60000 ]; then
		printf '%s\n' $((uptime_cs + 60000)) >"$run_dir/state/certificate.next"
		look_authority=${SITE_URL#https://}
		look_authority=${look_authority%%/*}
		case $look_authority in *:*) ;; *) look_authority=$look_authority:443 ;; esac
		look_end=$(timeout 20 openssl s_client -connect "$look_authority" -servername "${look_authority%:*}" </dev/null 2>/dev/null | openssl x509 -noout -enddate 2>/dev/null | sed 's/^notAfter=//')
		[ -z "$look_end" ] || date -d "$look_end" +%s >"$run_dir/state/certificate.end" 2>/dev/null
	fi
	look_end=$(cat "$run_dir/state/certificate.end" 2>/dev/null)
	is_number "$look_end" || return 0
	look_days=$(((look_end - $(date +%s)) / 86400))
	[ "$look_days" -ge "$WATCH_CERTIFICATE" ] || wrong certificate "the certificate of $SITE_URL has $look_days days left"
}

look_at_backups() {
	[ -n "$BACKUP_SCHEDULE" ] || return 0
	# Before the first one there is nothing to miss; that it does not come is seen by its schedule.
	look_newest=$(find "$root/backups" -maxdepth 1 -name '*.dump' -mmin "-$((WATCH_BACKUP / 60))" 2>/dev/null | head -n 1)
	look_any=$(find "$root/backups" -maxdepth 1 -name '*.dump' 2>/dev/null | head -n 1)
	[ -z "$look_any" ] || [ -n "$look_newest" ] || wrong backup "the newest backup is older than $((WATCH_BACKUP / 3600)) hours"
}

# A run that nobody ends, or that left work.
look_at_runs() {
	for look_run in "$runs"/*/; do
		! run_is_open "${look_run%/}" || wrong run "the run $(basename "$look_run") was cut off and waits: estiba recover"
	done
	[ ! -s "$state/unfinished" ] || wrong unfinished "the last deploy was not finished: $(head -c 200 "$state/unfinished")"
}

# tell_of KIND WORDS
tell_of() {
	printf 'Seen by the server itself, which looks every %s s.\n%s\n' "$WATCH_EVERY" "${SITE_URL:-}" |
		alert_add "watch-$(date -u +%Y%m%dT%H%M%SZ)-$(token)" "$2" "$releases/$RELEASE/alerts"
}

# compare_with_before: what is wrong for the second time is told; what was told and is well again, too.
compare_with_before() {
	while IFS='	' read -r now_kind now_words; do
		[ ! -e "$run_dir/told/$now_kind" ] || continue
		if [ -e "$run_dir/seen/$now_kind" ]; then
			tell_of "$now_kind" "$now_words" && printf '%s\n' "$now_words" >"$run_dir/told/$now_kind"
		else
			: >"$run_dir/seen/$now_kind"
		fi
	done <"$run_dir/now"
	for now_file in "$run_dir"/seen/* "$run_dir"/told/*; do
		[ -e "$now_file" ] || continue
		now_kind=${now_file##*/}
		! cut -f 1 "$run_dir/now" | grep -qxF -e "$now_kind" || continue
		case $now_file in
		*/told/*) tell_of "$now_kind" "over: $(cat "$now_file")" || continue ;;
		esac
		rm -f "$now_file"
	done
}

load_secrets
# A deploy looks at what it does by itself.
if ! lock_is_held; then
	: >"$run_dir/now"
	for look in apps containers disks certificate backups runs; do "look_at_$look"; done
	# It began meanwhile.
	lock_is_held || compare_with_before
fi
alerts_start
sleep "$WATCH_EVERY"
exec sh "$root/bin/current/run/watch.sh" "$root" again
