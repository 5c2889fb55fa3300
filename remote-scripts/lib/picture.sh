# shellcheck shell=sh
# A picture of the release that serves: which image and environment each of its containers has, which of its apps answer, with what
# they answer at `/`, and what people see at the front. One is taken before a run touches anything; an undo is done when what serves
# then is the same.
# shellcheck disable=SC2154 # the settings come from lib/settings.sh

# picture_containers ID…: a line for each container: service, image, and a digest of its environment, whose values are nobody's
# business.
picture_containers() {
	[ $# -gt 0 ] || return 0
	docker inspect -f '{{index .Config.Labels "com.docker.compose.service"}} {{.Image}} {{json .Config.Env}}' "$@" 9>&- |
		while read -r picture_service picture_image picture_env; do
			# Compose gives the variables in any order.
			picture_env=${picture_env#[}
			picture_env=$(printf '%s\n' "${picture_env%]}" | sed 's/","/"\n"/g' | LC_ALL=C sort | sha256sum)
			printf 'container %s %s %.16s\n' "$picture_service" "$picture_image" "$picture_env"
		done | sort
}

# picture_before: of what serves now. An app that does not answer need not answer again.
picture_before() {
	picture_ids=$(old_running) || return 1
	# shellcheck disable=SC2086 # ids, none with a space
	picture_containers $picture_ids >"$run_dir/state/before" || return 1
	for picture_app in $OLD_APPS; do
		! picture_answers "$picture_app" || echo "answers $picture_app"
		picture_front=$(picture_front "$picture_app") && echo "front $picture_app $picture_front"
	done >>"$run_dir/state/before"
	site_look "$run_dir/state/site.before" || rm -f "$run_dir/state/site.before"
}

# picture_answers APP: does it answer as the release that serves says? A stack from before estiba is asked as the new one would be.
picture_answers() {
	app_answers "$(picture_release)" "$1" "$(get old-slot)" "${2:-}"
}

picture_release() {
	if [ -e "$releases/${EXPECT_CURRENT:-none}/apps" ]; then printf '%s\n' "$EXPECT_CURRENT"; else printf '%s\n' "$RELEASE"; fi
}

# picture_differs: prints what is not as it was, a line each.
# picture_front APP: the status of `/`, asked of the old release itself, past what stands in front of it. Fails where it speaks no
# HTTP, or does not answer.
picture_front() {
	app_read "$(picture_release)" "$1" && [ -n "$(app_http_ports)" ] || return 1
	! picture_answers "$1" / || answers_said=$app_status
	case $answers_said in [1-5][0-9][0-9]) printf '%s\n' "$answers_said" ;; *) return 1 ;; esac
}

# picture_front_holds APP: is there an answer at `/` that is no server's error, where there was one before? Else front_said says what is.
picture_front_holds() {
	front_before=$(sed -n "s/^front $1 //p" "$run_dir/state/before" 2>/dev/null)
	case $front_before in [1-4][0-9][0-9]) ;; *) return 0 ;; esac
	front_now=$(picture_front "$1") || front_now=nothing
	case $front_now in [1-4][0-9][0-9]) return 0 ;; esac
	front_said="$1 answers / with $front_now, and with $front_before before"
	return 1
}

picture_differs() {
	picture_ids=$(old_running) || return 1
	# shellcheck disable=SC2086 # ids, none with a space
	picture_containers $picture_ids >"$run_dir/state/after" || return 1
	grep '^container ' "$run_dir/state/before" | while read -r _ picture_service picture_image picture_env; do
		picture_now=$(grep "^container $picture_service " "$run_dir/state/after")
		case "$picture_now
" in
		*"container $picture_service $picture_image $picture_env
"*) ;;
		'
') echo "no container of $picture_service runs" ;;
		*"container $picture_service $picture_image "*) echo "the container of $picture_service has a different environment" ;;
		*) echo "the container of $picture_service has a different image" ;;
		esac
	done | sort -u
	for picture_service in $(slot_apps "$(get slot)") $(slot_workers "$(get slot)"); do
		[ -z "$(containers "$picture_service")" ] || echo "a container of $picture_service, of the release that failed, still runs"
	done
	deadline_in 15
	picture_answered=$(sed -n 's/^answers //p' "$run_dir/state/before")
	for picture_app in $picture_answered; do
		until picture_answers "$picture_app"; do
			! past_deadline || { echo "$picture_app does not answer any more" && continue 2; }
			nap 0.3
		done
		until picture_front_holds "$picture_app"; do
			! past_deadline || { echo "$front_said" && break; }
			nap 0.3
		done
	done
}
