# shellcheck shell=sh
# jobs: what the apps' own image does once for a release before it starts, in the environment of its slot.
# Deadline: MIGRATE_TIMEOUT seconds.
# A failure: undone, a migration too where it must be; the release before serves all the while.

jobs_do() {
	[ -n "$JOBS" ] || { note 'the release has no jobs' && return 0; }
	for jobs_service in $JOBS; do
		tell "the job $jobs_service runs"
		compose "$RELEASE" "$(get slot)" run --rm --no-deps -T --name "$COMPOSE_PROJECT-$jobs_service-$RUN" \
			--label "estiba.run=$RUN" "$jobs_service-$(get slot)" || fail "the job $jobs_service failed" || return 1
	done
}

jobs_undo() {
	return 0
}
