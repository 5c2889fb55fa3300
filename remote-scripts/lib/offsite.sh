# shellcheck shell=sh
# The off-site repository: encrypted, by restic in a container of its own. Its address, its password and what else it
# needs are the release's offsite.env, which only that container reads.
# shellcheck disable=SC2154 # the settings come from lib/settings.sh

# restic ARG…: OFFSITE is the repository's path on this server, or `remote`.
restic() {
	set -- "$(restic_image)" --no-cache "$@"
	case $OFFSITE in
	# The Engine says where the folder is missing: in the backup service's container nobody could see it.
	/*) set -- --user "$(id -u):$(id -g)" --mount "type=bind,source=$OFFSITE,target=$OFFSITE" "$@" ;;
	*) [ ! -d "$root/shared/offsite-ssh" ] || set -- -v "$root/shared/offsite-ssh:/root/.ssh:ro" "$@" ;;
	esac
	docker run --rm -i --log-driver none --label "estiba.run=$RUN" --env-file "$releases/$RELEASE/offsite.env" -v "$backups:/backups:ro" "$@" 9>&-
}

# restic_image: the one that the step `image` has kept, by its id, or by its digest where somebody removed it.
restic_image() {
	image_reference=
	[ ! -e "$state/offsite-image" ] || read -r image_reference image_kept image_digest <"$state/offsite-image"
	[ "$image_reference" = "$OFFSITE_IMAGE" ] || { printf '%s\n' "$OFFSITE_IMAGE" && return; }
	docker image inspect "$image_kept" 9>&- >/dev/null 2>&1 || image_kept=${image_digest:-$OFFSITE_IMAGE}
	printf '%s\n' "$image_kept"
}

# restic_said: why the call before failed; all of its words go into the journal.
restic_said() {
	sed 's/^/| /' "$run_dir/state/restic.err" >&2
	grep -m 1 -E 'Fatal|rror' "$run_dir/state/restic.err" || grep . "$run_dir/state/restic.err" | tail -n 1
}

# offsite_host: what is this target's own in a repository that another may share.
offsite_host() {
	printf '%s.%s\n' "$COMPOSE_PROJECT" "$TARGET"
}

# offsite_open: a repository that was never seen is made; one that was seen and is gone is an error.
offsite_open() {
	offsite_mark=$(sha256sum <"$releases/$RELEASE/offsite.env") || return 1
	# A restic that was killed leaves its lock, and nothing but this takes one away that is older than half an hour.
	restic unlock >/dev/null 2>&1
	restic cat config >/dev/null 2>"$run_dir/state/restic.err" && return 0
	if grep -q 'bind source path does not exist' "$run_dir/state/restic.err"; then
		fail "the off-site folder $OFFSITE does not exist on the server; is its disk mounted?"
		return 1
	fi
	if [ "$(cat "$state/offsite" 2>/dev/null)" != "$offsite_mark" ] &&
		grep -qi 'is there a repository\|repository does not exist' "$run_dir/state/restic.err"; then
		restic init >/dev/null 2>"$run_dir/state/restic.err" || fail "no off-site repository can be made: $(restic_said)" || return 1
		tell 'the off-site repository did not exist; it was created'
		return 0
	fi
	fail "the off-site repository does not open: $(restic_said)"
}

offsite_known() {
	printf '%s\n' "$offsite_mark" | write_file "$state/offsite"
}
