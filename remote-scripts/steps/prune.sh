# shellcheck shell=sh
# prune: releases beyond keep-releases go, with their image tags, and what failed runs left.

prune_do() {
	prune_kept=0
	for prune_release in $(prune_newest_first "$releases"); do
		case $prune_release in
		"$(pointed "$root/current")" | "$(pointed "$root/previous")") continue ;;
		esac
		if [ -e "$releases/$prune_release/committed" ]; then
			prune_kept=$((prune_kept + 1))
			[ "$prune_kept" -gt "$((KEEP_RELEASES - 2))" ] || continue
		fi
		prune_release "$prune_release"
	done
	prune_kept=0
	for prune_run in $(prune_newest_first "$runs"); do
		prune_kept=$((prune_kept + 1))
		[ "$prune_kept" -le 30 ] || rm -rf "${runs:?}/$prune_run"
	done
	for prune_content in "$root"/stack/*; do
		[ -e "$prune_content" ] || continue
		grep -qF "/stack/${prune_content##*/}/" "$releases"/*/files/stack.yml || rm -rf "$prune_content"
	done
	for prune_scripts in "$root"/bin/*; do
		if [ -L "$prune_scripts" ] || [ "$prune_scripts" = "$here" ]; then continue; fi
		[ -n "$(find "$prune_scripts" -prune -mtime -30)" ] || rm -rf "$prune_scripts"
	done
}

# Release and run ids begin with their UTC time.
prune_newest_first() {
	find "$1" -mindepth 1 -maxdepth 1 -type d | sed 's|.*/||' | sort -r
}

prune_release() {
	for prune_slot in blue green; do
		[ "$(pointed "$root/slots/$prune_slot")" != "$1" ] || {
			# shellcheck disable=SC2046 # service names, none with a space
			remove_services $(slot_services "$prune_slot")
			rm -f "$root/slots/$prune_slot"
		}
	done
	docker image rm "$IMAGE_NAME:$1" 9>&- >/dev/null 2>&1
	rm -rf "${releases:?}/$1"
	note "release $1 is gone"
}

prune_undo() {
	return 0
}
