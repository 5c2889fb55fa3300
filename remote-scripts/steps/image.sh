# shellcheck shell=sh
# image: the release's images are on the server, checked by their ids, with tags that keep them from a prune; and those
# that estiba itself runs: the edge's, the backup service's, restic's. The folders for the release's static files are made before any container mounts them.
# Deadline: 1800 seconds.
# A failure: refused: nothing has changed.

image_do() {
	case $IMAGE_SOURCE in
	server) image_build || return 1 ;;
	esac
	: >"$run_dir/state/images"
	# shellcheck disable=SC2153 # a setting of the release
	for image_one in $IMAGES; do
		image_variable=${image_one%%:*}
		image_name=${image_one#*:}
		image_wanted=$(image_id "$image_variable")
		image_there=$(docker image inspect -f '{{.Id}}' "$image_wanted" 9>&- 2>/dev/null)
		[ "$image_there" = "$image_wanted" ] || fail "the image $image_wanted ($image_name) of release $RELEASE is not on the server" || return 1
		printf '%s %s\n' "$image_variable" "$image_wanted" >>"$run_dir/state/images"
		docker tag "$image_wanted" "$image_name:$RELEASE" 9>&- || return 1
		docker image rm "$image_name:estiba-build" 9>&- >/dev/null 2>&1
	done
	IMAGE=$(image_id ESTIBA_IMAGE)
	write_file "$releases/$RELEASE/images" <"$run_dir/state/images" && printf '%s\n' "$IMAGE" | write_file "$releases/$RELEASE/image" || return 1
	image_edge && image_services && release_environment && static_each "$RELEASE" static_place
}

# image_edge: the edges' image: the one that this root has known, as long as its name is the same and it is there.
image_edge() {
	# shellcheck disable=SC2153 # a setting of the release
	image_own edge "$EDGE_IMAGE" || {
		fail "the edge's image $EDGE_IMAGE is not on the server, which could not pull it, and the machine that deploys does not have it either. Run docker pull $EDGE_IMAGE on either, or set another [edge] image"
		return 1
	}
	edge_image=$own_image
}

# image_services: those of the backup service and of restic, which reach further than any other: the Engine itself, and all backups.
image_services() {
	[ -z "$BACKUP_IMAGE" ] || image_own backup "$BACKUP_IMAGE" ||
		fail "the image of the backup service, $BACKUP_IMAGE, is not on the server, which could not pull it: run docker pull $BACKUP_IMAGE there, or set another [backup] image" || return 1
	[ -z "$OFFSITE_IMAGE" ] || image_own offsite "$OFFSITE_IMAGE" ||
		fail "the image of restic, $OFFSITE_IMAGE, is not on the server, which could not pull it: run docker pull $OFFSITE_IMAGE there, or set another [backup] offsite-image"
}

# image_own NAME REFERENCE: an image that estiba itself runs is pulled once, and then is the same one, whatever its tag comes to mean,
# until it is asked for by another name. It is known by its id; where that is gone, by its digest in the registry. Sets own_image.
image_own() {
	own_image=
	own_reference=
	own_known=
	own_digest=
	[ ! -e "$state/$1-image" ] || read -r own_reference own_known own_digest <"$state/$1-image"
	if [ "$own_reference" = "$2" ] || { [ "$KIND" = rollback ] && [ -n "$own_known" ]; }; then
		own_image=$(docker image inspect -f '{{.Id}}' "$own_known" 9>&- 2>/dev/null)
		[ -z "$own_image" ] || return 0
	else
		own_digest=
	fi
	own_wanted=${own_digest:-$2}
	docker image inspect "$own_wanted" 9>&- >/dev/null 2>&1 || docker pull -q "$own_wanted" 9>&- >/dev/null 2>"$run_dir/state/pull.said" || {
		cat "$run_dir/state/pull.said"
		return 1
	}
	own_image=$(docker image inspect -f '{{.Id}}' "$own_wanted" 9>&-) || return 1
	own_digest=$(docker image inspect -f '{{if .RepoDigests}}{{index .RepoDigests 0}}{{end}}' "$own_image" 9>&-)
	printf '%s %s %s\n' "$2" "$own_image" "$own_digest" | write_file "$state/$1-image" || return 1
	# It stays when names move on.
	docker tag "$own_image" "estiba-$1:$COMPOSE_PROJECT" 9>&-
}

# Builds from the uploaded context. What holds a secret of the build's arguments is named in its command, and valued in its environment.
image_build() {
	set --
	if [ -e "$run_dir/build.env" ]; then
		. "$run_dir/build.env"
		eval "set -- $BUILD_ARGUMENTS"
		for image_argument in "$@"; do
			set -- "$@" --build-arg "$image_argument"
			shift
		done
	fi
	[ -z "$BUILD_TARGET" ] || set -- "$@" --target "$BUILD_TARGET"
	for image_one in $IMAGES; do
		[ "${image_one%%:*}" != "$BUILT_IMAGE" ] || image_name=${image_one#*:}
	done
	image_context || return 1
	# Where there is buildx, Docker 20.10 builds with BuildKit when it is told to; later ones do anyway.
	! docker buildx version 9>&- >/dev/null 2>&1 || export DOCKER_BUILDKIT=1
	set -- build --force-rm "$@" --iidfile "$run_dir/state/image" -t "$image_name:$RELEASE" \
		-f "$root/state/context/$DOCKERFILE" "$root/state/context"
	# Names of the project's own choice: no variable is used behind them.
	(
		[ ! -e "$run_dir/build.values" ] || . "$run_dir/build.values"
		exec docker "$@" 9>&-
	) || fail 'docker build failed; its output is above' || return 1
	rm -rf "$run_dir/context"
	case $BUILT_IMAGE in
	ESTIBA_IMAGE) IMAGE=$(get image) ;;
	*) IMAGE_IDS="$IMAGE_IDS $BUILT_IMAGE=$(get image)" ;;
	esac
}

# The build context is kept from build to build: what came with this run is what changed since. Without its manifest it is
# worth nothing, and the next deploy sends all of it.
image_context() {
	image_kept=$root/state/context
	image_base=
	[ ! -e "$image_kept.manifest" ] || image_base=$(sha256sum <"$image_kept.manifest" | cut -d ' ' -f 1)
	# This very run, begun again after a crash, may have done it.
	! cmp -s "$run_dir/context.manifest" "$image_kept.manifest" || return 0
	[ "$image_base" = "$(cat "$run_dir/context.base")" ] ||
		fail 'another deploy has changed the build context that is kept here; deploy again' || return 1
	rm -f "$image_kept.manifest"
	[ -n "$image_base" ] || rm -rf "$image_kept"
	mkdir -p "$image_kept" || return 1
	while IFS= read -r image_path; do
		rm -f "$image_kept/$image_path"
	done <"$run_dir/context.gone"
	# What comes in a file's place is written through no link that was there.
	(cd "$run_dir/context" && find . ! -type d) | while IFS= read -r image_path; do
		rm -f "$image_kept/$image_path"
	done
	# A folder may have become a file.
	find "$image_kept" -mindepth 1 -depth -type d -exec rmdir {} \; 2>/dev/null
	cp -a "$run_dir/context/." "$image_kept/" || return 1
	(cd "$image_kept" && sed -n 's/^[0-7]* \([0-9a-f]*  \)/\1/p' "$run_dir/context.manifest" | sha256sum -c - >/dev/null 2>&1) ||
		fail 'the build context that is kept here is damaged; deploy again, and all of it is sent' || return 1
	cp "$run_dir/context.manifest" "$image_kept.manifest.new" && mv "$image_kept.manifest.new" "$image_kept.manifest"
}

image_undo() {
	rm -rf "$run_dir/context"
	[ ! -e "$releases/$RELEASE/committed" ] || return 0
	for image_one in $IMAGES; do
		docker image rm "${image_one#*:}:$RELEASE" 9>&- >/dev/null 2>&1
	done
	static_drop "$RELEASE"
}
