#!/bin/sh
# watch.sh ROOT         for as long as the release that serves has [watch] or [alerts]: looks at the site between deploys as [watch] says, and
#                       sends alerts that wait, those of the backup service for one. One for each root: another one ends at once
# watch.sh ROOT again   the same, by whoever holds the lock already
# watch.sh ROOT look    one look: what is wrong twice in a row is told by an alert, and told again when it is over
set -u

root=$1
verb=${2:-}
here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
for part in common settings journal lock compose http edge apps alerts; do
	. "$here/lib/$part.sh"
done
trap '' HUP

RELEASE=$(pointed "$root/current")
[ -n "$RELEASE" ] && [ -e "$releases/$RELEASE/settings.env" ] || exit 0
EXPECT_CURRENT=$RELEASE
RUN=watch
read_release "$RELEASE"
run_dir=$state/watch
step=watch

# hold: nobody else does this. Who only asks holds the lock for a moment.
hold() {
	exec 8>>"$state/watch.lock"
	for hold_try in 1 2 3 4 5; do
		flock -n 8 && return 0
		nap 0.2
	done
	return 1
}

# is_down: has somebody taken the site's containers away?
is_down() {
	down_found=$(docker ps -aq --filter "label=com.docker.compose.project=$COMPOSE_PROJECT" 2>/dev/null) && [ -z "$down_found" ]
}

# wrong KIND WORDS: something is, at this look.
wrong() {
	printf '%s\t%s\n' "$1" "$2" >>"$run_dir/now"
}

look_at_apps() {
	look_slot=$(serving_slot)
	for look_app in $APPS; do
		answers_said=nothing
		app_answers "$RELEASE" "$look_app" "$look_slot" && continue
		case ${app_path:--} in
		-) wrong "app-$look_app" "$look_app takes no connections" ;;
		*) wrong "app-$look_app" "$look_app answers $app_path with $answers_said, not $app_status" ;;
		esac
	done
}

# Of each service of the stack and of the slot that serves: is there a container, is it up, is it well, does it start again and again?
look_at_containers() {
	look_wanted=" $STACK_SERVICES $STACK_AFTER_JOBS $STACK_AFTER_APPS $APPS"
	for look_service in $APPS $WORKERS; do look_wanted="$look_wanted $(slot_service_name "$look_service" "$(serving_slot)")"; done
	look_ids=$(docker ps -aq --filter "label=com.docker.compose.project=$COMPOSE_PROJECT" --filter 'label=com.docker.compose.oneoff=False') || {
		wrong engine 'the Docker Engine does not answer'
		return
	}
	# shellcheck disable=SC2086 # ids, none with a space
	[ -z "$look_ids" ] || docker inspect -f '{{index .Config.Labels "com.docker.compose.service"}} {{.State.Status}} {{.RestartCount}} {{printf "%.12s" .Id}} {{with index .State "Health"}}{{.Status}}{{end}}' $look_ids 2>/dev/null >"$run_dir/state/containers"
	: >"$run_dir/state/restarts.now"
	while read -r look_service look_state look_restarts look_id look_health; do
		case "$look_wanted " in *" $look_service "*) ;; *) continue ;; esac
		is_number "$look_restarts" || continue
		look_before=$(awk -v id="$look_id" '$1 == id { print $2 }' "$run_dir/state/restarts" 2>/dev/null)
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
	done <"$run_dir/state/containers"
	mv "$run_dir/state/restarts.now" "$run_dir/state/restarts"
	for look_service in $look_wanted; do
		grep -q "^$look_service " "$run_dir/state/containers" || wrong "service-$look_service" "there is no container of $look_service"
	done
}

look_at_disks() {
	look_docker=$(docker info --format '{{.DockerRootDir}}' 2>/dev/null)
	df -P "$root" "${look_docker:-$root}" 2>/dev/null | awk -v most="$WATCH_DISK" '
		NR > 1 && !seen[$6]++ { used = $5 + 0; if (used >= most) print $6 " " used }' |
		while read -r look_place look_used; do
			wrong "disk$(printf '%s' "$look_place" | tr '/' '-')" "the disk of $look_place is used to $look_used %"
		done
}

# The certificate is asked for every ten minutes, since others count who comes; at each look while it ends soon.
look_at_certificate() {
	case ${SITE_URL:-} in https://*) ;; *) return 0 ;; esac
	command -v openssl >/dev/null 2>&1 || return 0
	uptime_cs
	look_next=$(cat "$run_dir/state/certificate.next" 2>/dev/null || echo 0)
	is_number "$look_next" || look_next=0
	# After a restart of the machine its clock begins again.
	if [ -e "$run_dir/state/certificate.ends" ] || [ "$uptime_cs" -ge "$look_next" ] || [ "$((look_next - uptime_cs))" -gt 60000 ]; then
		printf '%s\n' $((uptime_cs + 60000)) >"$run_dir/state/certificate.next"
		look_authority=${SITE_URL#https://}
		look_authority=${look_authority%%/*}
		case $look_authority in *:*) ;; *) look_authority=$look_authority:443 ;; esac
		look_certificate=$(timeout 20 openssl s_client -connect "$look_authority" -servername "${look_authority%:*}" </dev/null 2>/dev/null | openssl x509 2>/dev/null)
		if [ -n "$look_certificate" ]; then
			if printf '%s\n' "$look_certificate" | openssl x509 -noout -checkend "$((WATCH_CERTIFICATE * 86400))" >/dev/null 2>&1; then
				rm -f "$run_dir/state/certificate.ends"
			else
				printf '%s\n' "$look_certificate" | openssl x509 -noout -enddate 2>/dev/null | sed 's/^notAfter=//' >"$run_dir/state/certificate.ends"
			fi
		fi
	fi
	[ ! -e "$run_dir/state/certificate.ends" ] ||
		wrong certificate "the certificate of $SITE_URL ends on $(cat "$run_dir/state/certificate.ends")"
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

# write_figures: the server's figures where node_exporter reads them. Who reads half of a file reads nothing.
write_figures() {
	[ "$WATCH_METRICS" = 1 ] || return 0
	figures_at=$root/shared/metrics
	mkdir -p "$figures_at" && chmod 0755 "$figures_at" || return 0
	timeout -k 5 60 sh "$here/ask/metrics.sh" "$root" 2>/dev/null | grep '^estiba_' >"$run_dir/figures" || return 0
	for figures_told in "$run_dir"/told/*; do
		[ ! -e "$figures_told" ] || printf 'estiba_watch_wrong{what="%s"} 1\n' "${figures_told##*/}" >>"$run_dir/figures"
	done
	chmod 0644 "$run_dir/figures" && mv "$run_dir/figures" "$figures_at/estiba.prom"
}

# tell_of WORDS: an alert, where somebody wants it. On a full disk with the room that is kept for an undo; the next run keeps it again.
tell_of() {
	{ [ "$WATCH_TELL" = 1 ] && [ -e "$releases/$RELEASE/alerts/on" ]; } || return 0
	for tell_try in 1 2; do
		printf 'Seen by the server itself, which looks every %s s.\n%s\n' "$WATCH_EVERY" "${SITE_URL:-}" |
			alert_add "watch-$(date -u +%Y%m%dT%H%M%SZ)-$(token)" "$1" "$releases/$RELEASE/alerts" && return 0
		rm -f "$state/reserve"
	done
	return 1
}

# compare_with_before: what is wrong for the second time is told; what was told and is well again, too.
compare_with_before() {
	awk -F '\t' '!had[$1]++' "$run_dir/now" >"$run_dir/once"
	while IFS='	' read -r now_kind now_words; do
		[ ! -e "$run_dir/told/$now_kind" ] || continue
		if [ -e "$run_dir/seen/$now_kind" ]; then
			tell_of "$now_words" && printf '%s\n' "$now_words" >"$run_dir/told/$now_kind"
		else
			: >"$run_dir/seen/$now_kind"
		fi
	done <"$run_dir/once"
	for now_file in "$run_dir"/seen/* "$run_dir"/told/*; do
		[ -e "$now_file" ] || continue
		now_kind=${now_file##*/}
		! cut -f 1 "$run_dir/once" | grep -qxF -e "$now_kind" || continue
		case $now_file in
		*/told/*) tell_of "over: $(cat "$now_file")" || continue ;;
		esac
		rm -f "$now_file"
	done
}

look() {
	(umask 077 && mkdir -p "$run_dir/state" "$run_dir/seen" "$run_dir/told") || exit 1
	write_figures
	# A deploy looks at what it does by itself.
	if lock_is_held; then
		rm -f "$run_dir"/seen/*
		return
	fi
	[ "$(df -Pk "$state" | awk 'NR == 2 { print $4 }')" != 0 ] || rm -f "$state/reserve"
	load_secrets
	: >"$run_dir/now"
	for look_what in apps containers disks certificate backups runs; do "look_at_$look_what"; done
	# It began meanwhile.
	lock_is_held || compare_with_before
}

case $verb in
look)
	look
	exit
	;;
again) ;;
*) hold || exit 0 ;;
esac
[ "$WATCH_EVERY" -gt 0 ] || [ -e "$releases/$RELEASE/alerts/on" ] || exit 0
if is_down; then
	rm -rf "$run_dir"
	exit 0
fi
# An Engine that never answers must not end the watch.
[ "$WATCH_EVERY" = 0 ] || timeout -k 5 120 sh "$here/run/watch.sh" "$root" look 8>&-
ALERTS_FROM=host alerts_start
[ "$WATCH_EVERY" -gt 0 ] || WATCH_EVERY=30
sleep "$WATCH_EVERY" 8>&-
exec sh "$root/bin/current/run/watch.sh" "$root" again
