# shellcheck shell=sh
# Static files. Each release has its own, in <root>/static/RELEASE/NAME, which its containers see in the place of the folder or
# the volume that the Compose file names. That one is what the proxy reads: a switch adds the release's files to it, so that the
# pages of both releases find theirs while both serve.
#
# A release's file `static` has a line for each, fields parted by tabs:
#   NAME  folder|volume  SOURCE (below <root>/shared, or the volume's name)  variable of the image  path in its container
# shellcheck disable=SC2154 # the settings come from lib/settings.sh

static_root=$root/static

# static_each RELEASE COMMAND ARG…: COMMAND ARG… with static_name, static_kind, static_source, static_image, static_target set, for
# each line.
static_each() {
	static_of=$releases/$1/static
	shift
	[ -e "$static_of" ] || return 0
	while IFS='	' read -r static_name static_kind static_source static_image static_target <&3; do
		"$@" || return 1
	done 3<"$static_of"
}

# static_shared: what the proxy reads, as `docker run -v` takes it. Fails where it is not there yet.
static_shared() {
	case $static_kind in
	folder) [ -d "$root/shared/$static_source" ] && printf '%s\n' "$root/shared/$static_source" ;;
	*) docker volume inspect -f '{{.Name}}' "$static_source" 9>&- 2>/dev/null ;;
	esac
}

# static_run SCRIPT MOUNT…: sh, with $RELEASE and $NAME, as root in a container that has these mounts: the files need not belong to
# the user who deploys.
static_run() {
	static_script=$1
	shift
	for static_mount in "$@"; do
		set -- "$@" -v "$static_mount"
		shift
	done
	docker run --rm --network none --user 0:0 --label "estiba.run=$RUN" -e "RELEASE=${static_release:-}" -e "NAME=${static_name:-}" "$@" \
		--entrypoint sh "$(sed -n 's/^ESTIBA_EDGE_IMAGE=//p' "$releases/$RELEASE/estiba.env")" -c "$static_script" 9>&- 3<&-
}

# static_inside VERB MOUNT…: inside/static-publish.sh with that verb, in such a container.
static_inside() {
	static_program=$(cat "$here/inside/static-publish.sh") || return 1
	static_program="set -- $1
$static_program"
	shift
	static_run "$static_program" "$@"
}

# static_place: the folder of this release's own files, made by who deploys: where it is not there, Docker makes it as root's when a
# container mounts it, and nobody else could write to it.
static_place() {
	mkdir -p "$static_root/$RELEASE/$static_name" 2>/dev/null && return 0
	# Somebody else's above it: a container mounted one before.
	{ static_run "chown $(id -u):$(id -g) /static" "$static_root:/static" && mkdir -p "$static_root/$RELEASE/$static_name"; } ||
		fail "the folder $static_root/$RELEASE/$static_name cannot be made"
}

# static_fill: this release's own files, as its image has them; where it has none, as they are now.
static_fill() {
	static_own=$static_root/$RELEASE/$static_name
	mkdir -p "$static_own" || return 1
	static_box=$(docker create --label "estiba.run=$RUN" "$(image_id "$static_image")" true 9>&-) || return 1
	docker cp "$static_box:$static_target/." "$static_own" 9>&- >/dev/null 2>&1
	docker rm -f "$static_box" 9>&- >/dev/null
	if [ -z "$(ls -A "$static_own")" ] && [ -z "$COLLECT_STATIC" ]; then
		static_keep "$RELEASE" || return 1
	fi
	static_give
}

# static_make: this release's own files, before anything is collected. static_unmake: they go again.
static_make() {
	put static-made 1 || return 1
	static_each "$RELEASE" static_fill
}

static_unmake() {
	! has static-made || static_forget "$RELEASE"
}

# static_begin_early STATE: begins to collect them, while the app is asked for something else: each boots the app, which takes a second of
# one core. Only where the database refuses writes in the environment of that state, since no backup is made yet, and where no entry
# script would have set up something for the command. static_end_early waits for it, not longer than two minutes; what it did not get
# to, the step `static` does.
static_begin_early() {
	static_early=
	[ -n "$COLLECT_STATIC" ] && [ -s "$run_dir/state/$1" ] && [ ! -e "$static_root/$RELEASE/.collected" ] && static_has_no_entry || return 0
	(
		static_make && one_off_past_entry=1 && one_off static "$COLLECT_STATIC" "$1" && put static-early 1
	) >"$run_dir/state/static.said" 2>&1 &
	static_early=$!
}

static_end_early() {
	[ -n "$static_early" ] || return 0
	deadline_in 120
	while kill -0 "$static_early" 2>/dev/null; do
		if past_deadline; then
			docker rm -f "$COMPOSE_PROJECT-static-$RUN" 9>&- >/dev/null 2>&1
			break
		fi
		nap 0.05
	done
	wait "$static_early" || note 'the static files could not be collected beside the look at the migrations: that is done later'
}

static_has_no_entry() {
	! grep -q '^ *entrypoint:' "$releases/$RELEASE/files/slot-$(get slot).yml" || return 1
	case $(docker image inspect -f '{{json .Config.Entrypoint}}' "$(image_id ESTIBA_IMAGE)" 9>&-) in
	null | '[]' | '') return 0 ;;
	esac
	return 1
}

# static_give: they belong to whom the shared ones belong to, or else to the image's user, who must write there.
static_give() {
	# shellcheck disable=SC2016 # for the shell in the container
	if static_there=$(static_shared) &&
		static_run 'owner=$(stat -c %u:%g /to) && [ "$owner" != 0:0 ] && chown -R "$owner" /own' "$static_there:/to:ro" "$static_own:/own"; then
		return 0
	fi
	static_user=$(docker image inspect -f '{{.Config.User}}' "$(image_id "$static_image")" 9>&-)
	case $static_user in
	'' | root | 0 | 0:0) ;;
	*)
		docker run --rm --network none --user 0 --label "estiba.run=$RUN" --entrypoint chown -v "$static_own:/static" "$(image_id "$static_image")" \
			-R "$static_user" /static 9>&- 3<&- || note "the release's static files could not be given to the image's user $static_user"
		;;
	esac
}

# static_keep RELEASE: a copy of what the proxy reads now, as that release's files.
static_keep() {
	static_there=$(static_shared) || return 0
	mkdir -p "$static_root/$1/$static_name" || return 1
	static_run 'cp -a /from/. /to/' "$static_there:/from:ro" "$static_root/$1/$static_name:/to"
}

# static_keep_once RELEASE: the same, where that release has none of its own: it was made by an estiba that kept none, or it is what
# ran from before.
static_keep_once() {
	[ -e "$static_root/$1/$static_name" ] || static_keep "$1"
}

# static_publish RELEASE: that release's files are where the proxy reads them. A file that is the same stays what it is; another takes
# its place in one step. static_absent lists what has no place yet.
static_publish() {
	[ -d "$static_root/$1/$static_name" ] || return 0
	[ "$static_kind" = volume ] || mkdir -p "$root/shared/$static_source" || return 1
	static_there=$(static_shared) || { static_absent="$static_absent $static_name" && return 0; }
	static_inside put "$static_root/$1/$static_name:/from:ro" "$static_there:/to" || fail "the static files of release $1 could not be put into $static_source"
}

# static_publish_all RELEASE: all of them. The lines of this release tell where those go of one that has no such file.
static_publish_all() {
	static_absent=
	static_lines=$1
	[ -e "$releases/$1/static" ] || static_lines=$RELEASE
	static_each "$static_lines" static_publish "$1"
}

# static_differs RELEASE: tells a file where the proxy reads that is not that release's; the first one.
static_differs() {
	[ -d "$static_root/$1/$static_name" ] && static_there=$(static_shared) || return 0
	static_other=$(static_inside list "$static_root/$1/$static_name:/from:ro" "$static_there:/to:ro") || return 1
	static_other=${static_other#./}
	[ -z "$static_other" ] ||
		printf 'the static file %s of %s is not that of the release that serves\n' "$(printf '%s\n' "$static_other" | head -n 1)" "$static_source"
}

# static_withdraw RELEASE: what only that release has is taken away from where the proxy reads.
static_withdraw() {
	static_release=$1
	[ -d "$static_root/$1/$static_name" ] && static_there=$(static_shared) || return 0
	# shellcheck disable=SC2016 # for the shell in the container
	static_run '
		cd "/static/$RELEASE/$NAME" || exit 0
		find . ! -type d -exec sh -c '"'"'
			for file; do
				for other in /static/*/"$NAME"/"$file"; do
					[ "$other" = "/static/$RELEASE/$NAME/$file" ] || [ ! -e "$other" ] || continue 2
				done
				! cmp -s "$file" "/to/$file" || rm -f "/to/$file"
			done'"'"' sh {} +' \
		"$static_root:/static:ro" "$static_there:/to"
}

# static_forget RELEASE: that release and its own files go.
static_forget() {
	[ -d "$static_root/${1:?}" ] || return 0
	static_each "$1" static_withdraw "$1" || note "some static files of release $1 stay where the proxy reads them"
	static_drop "$1"
}

# static_drop RELEASE: its own files go.
static_drop() {
	# shellcheck disable=SC2016 # for the shell in the container
	rm -rf "${static_root:?}/${1:?}" 2>/dev/null || { static_release=$1 && static_run 'rm -rf "/static/$RELEASE"' "$static_root:/static"; }
}
