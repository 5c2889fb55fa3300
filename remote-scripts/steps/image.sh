# shellcheck shell=sh
# image: the release's image is on the server, checked by its id, with a tag that keeps it from a prune.

image_do() {
	case $IMAGE_SOURCE in
	server) image_build || return 1 ;;
	esac
	image_there=$(docker image inspect -f '{{.Id}}' "$IMAGE" 9>&- 2>/dev/null)
	[ "$image_there" = "$IMAGE" ] || fail "the image $IMAGE of release $RELEASE is not on the server" || return 1
	printf '%s\n' "$IMAGE" | write_file "$releases/$RELEASE/image"
	# By `preflight`, where it was known then.
	grep -qx "ESTIBA_IMAGE=$IMAGE" "$releases/$RELEASE/estiba.env" || release_environment "$IMAGE" || return 1
	docker tag "$IMAGE" "$IMAGE_NAME:$RELEASE" 9>&- || return 1
	docker image rm "$IMAGE_NAME:estiba-build" 9>&- >/dev/null 2>&1
	return 0
}

# Builds from the uploaded context; build arguments are named here and valued in the environment.
image_build() {
	set --
	if [ -e "$run_dir/build.env" ]; then
		. "$run_dir/build.env"
		for build_name in $BUILD_ARGUMENTS; do
			set -- "$@" --build-arg "$build_name"
		done
	fi
	[ -z "$BUILD_TARGET" ] || set -- "$@" --target "$BUILD_TARGET"
	image_context || return 1
	# Where there is buildx, Docker 20.10 builds with BuildKit when it is told to; later ones do anyway.
	! docker buildx version 9>&- >/dev/null 2>&1 || export DOCKER_BUILDKIT=1
	docker build --force-rm "$@" --iidfile "$run_dir/state/image" -t "$IMAGE_NAME:$RELEASE" \
		-f "$root/state/context/$DOCKERFILE" "$root/state/context" 9>&- || fail 'the image does not build' || return 1
	rm -rf "$run_dir/context"
	IMAGE=$(get image)
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
	# A folder may have become a file.
	find "$image_kept" -mindepth 1 -depth -type d -exec rmdir {} \; 2>/dev/null
	cp -a "$run_dir/context/." "$image_kept/" || return 1
	(cd "$image_kept" && sed -n 's/^[0-7]* \([0-9a-f]*  \)/\1/p' "$run_dir/context.manifest" | sha256sum -c - >/dev/null 2>&1) ||
		fail 'the build context that is kept here is damaged; deploy again, and all of it is sent' || return 1
	cp "$run_dir/context.manifest" "$image_kept.manifest.new" && mv "$image_kept.manifest.new" "$image_kept.manifest"
}

image_undo() {
	rm -rf "$run_dir/context"
	[ -e "$releases/$RELEASE/committed" ] || docker image rm "$IMAGE_NAME:$RELEASE" 9>&- >/dev/null 2>&1
	return 0
}
