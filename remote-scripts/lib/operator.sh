# shellcheck shell=sh
# Runs that somebody starts on the server itself, by <root>/bin/estiba-update and estiba-rollback: the same driver, journal and history as
# those that a client starts. What the last deploy asked for besides (how long to observe, how many releases to keep) holds for them too:
# state/deploy.env.
# shellcheck disable=SC2154 # root and here come from the script

# operator_look: sets current, the release that serves, and reads its settings.
operator_look() {
	current=$(pointed "$root/current")
	if [ -z "$current" ] || [ ! -e "$state/deploy.env" ]; then
		echo "estiba: $root serves no release that this version has deployed: deploy once from the client" >&2
		exit 1
	fi
	read_release "$current"
}

# operator_run KIND RELEASE STEPS IMAGE IMAGE_IDS [FOLDER]: starts the run, shows its journal, and returns as it ends. It goes on when
# whoever started it is gone. FOLDER becomes the release, once the run is there that names it: until then a prune would take it away.
operator_run() {
	RUN=$(date -u +%Y%m%dT%H%M%SZ)-$1-$(token)
	run_dir=$runs/$RUN
	operator_by=$(id -un | tr -cd 'A-Za-z0-9_.-')
	mkdir -p "$run_dir/begun" || exit 1
	(
		umask 077
		{
			cat "$state/deploy.env"
			# Without quotes, as whoever looks for the runs of a release expects it.
			printf 'RELEASE=%s\n' "$2"
			printf "%s='%s'\n" RUN "$RUN" KIND "$1" EXPECT_CURRENT "$current" STEPS "$3" IMAGE "$4" IMAGE_IDS "$5" \
				IMAGE_SOURCE build NONCE '' ALLOW_REPLACE '' OVERRIDE '' BACKUP_ID '' RECOVER '' ALERTS 1 BY "$operator_by" FROM "$(hostname)" \
				STARTED "$(utc_now)"
			[ "$1" = deploy ] || printf "%s='%s'\n" OBSERVE 0 KEEP_WARM 0
		} >"$run_dir/run.env"
	) || exit 1
	[ -z "${6:-}" ] || mv "$6" "$releases/$2" || exit 1
	: >"$run_dir/journal"
	setsid sh "$here/run/supervise.sh" "$root" "$RUN" </dev/null >>"$run_dir/stray" 2>&1 &
	echo "run $RUN; it goes on when this terminal is closed"
	sh "$here/run/follow.sh" "$root" "$RUN" 0 | operator_show
	[ -e "$run_dir/outcome" ] || { echo "estiba: the run has ended without an outcome; the next one ends it first" >&2 && return 4; }
	return "$(cut -f 1 "$run_dir/outcome")"
}

# operator_show: the journal on standard input, for people. Of a step that fails, its last lines too.
operator_show() {
	awk -F '\t' '
		$2 == "began" { count = 0 }
		$2 == "out" { line[count++ % 40] = $4 }
		$2 == "done" { print "✓ " $3 }
		$2 == "note" { print "  " $4 }
		$2 == "failed" || $2 == "undo-failed" {
			for (at = (count > 40 ? count - 40 : 0); at < count; at++) print "    " line[at % 40]
			print "✗ " $3 ": " $4
		}
		$2 == "undone" { print "↶ " $3 " undone" }
		$2 == "outcome" { sub(/^[0-9]+ /, "", $4); print $4 }
		{ fflush() }'
}
