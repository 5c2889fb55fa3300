#!/bin/sh
# scheduled.sh ROOT KIND: one scheduled run, a backup or a drill, of the release that serves. While a deploy runs, it
# waits. A run that fails gives the team's alert.
set -u

root=$1
kind=$2
# Where it really lies: called through bin/current, it must not take that link for its own name.
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
for part in common settings lock history; do
	. "$here/lib/$part.sh"
done

# A deploy that was cut off waits for the boot hook, the next deploy or `estiba recover`.
deploy_is_open() {
	for open_run in "$runs"/*/; do
		! run_is_open "${open_run%/}" || ! grep -q '^KIND=\(deploy\|rollback\)$' "$open_run/run.env" || return 0
	done
	return 1
}

# What cannot be written down any more is told to whoever reads the container's log.
give_up() {
	echo "$kind: $root cannot be written; is the disk full?" >&2
	rm -rf "${runs:?}/$RUN"
	exit 1
}

deadline_in 21600
while :; do
	while { lock_is_held || deploy_is_open; } && ! past_deadline; do nap 2; done
	# That deploy may have brought newer scripts.
	newest=$(CDPATH='' cd -- "$root/bin/current" && pwd -P)
	[ -z "$newest" ] || [ "$newest" = "$here" ] || exec sh "$newest/scheduled.sh" "$root" "$kind"
	current=$(pointed "$root/current")
	[ -n "$current" ] || exit 0
	OFFSITE='' COMMIT=''
	read_release "$current"
	. "$releases/$current/release.env"
	RUN=$(date -u +%Y%m%dT%H%M%SZ)-$kind-$(token)
	steps=$(sed -n "s/^$kind //p" "$here/plans")
	[ -n "$OFFSITE" ] || steps=$(printf '%s\n' "$steps" | sed 's/ offsite$//')
	run_dir=$runs/$RUN
	mkdir -p "$run_dir" || { rm -f "$state/reserve" && mkdir -p "$run_dir"; } || give_up
	(
		umask 077
		cat >"$run_dir/run.env" <<-SETTINGS
			RUN=$RUN
			KIND=$kind
			RECOVER=own
			RELEASE=$current
			EXPECT_CURRENT=$current
			STEPS='$steps'
			OBSERVE=0
			MIN_REQUESTS=0
			MAX_ERROR_RATE=0
			KEEP_RELEASES=2
			ALLOW_REPLACE=''
			IMAGE=''
			IMAGE_SOURCE=''
			NONCE=''
			BACKUP_ID=''
			CONFIRM_TIMEOUT=0
			FLEET_TIME=0
			NEED_KB=0
			BY='the backup service'
			FROM='its schedule'
			STARTED=$(utc_now)
		SETTINGS
	) || give_up
	sh "$here/run/supervise.sh" "$root" "$RUN" </dev/null >>"$run_dir/stray" 2>&1
	code=$(cut -f 1 "$run_dir/outcome" 2>/dev/null)
	# A deploy was quicker.
	if [ "$code" != 5 ] || past_deadline; then break; fi
	rm -rf "${runs:?}/$RUN"
done
history_runs_retain "$RUN"
# An alert that hangs must not keep the next backup.
[ "$code" = 0 ] || timeout 120 sh "$here/run/step.sh" "$root" "$RUN" alert 'do' </dev/null >>"$run_dir/stray" 2>&1
