# shellcheck shell=sh
# image: the release's image is on the server, checked by its id, with a tag that keeps it from a prune.

image_do() {
	case $IMAGE_SOURCE in
	server) image_build || return 1 ;;
	esac
	image_there=$(docker image inspect -f '{{.Id}}' "$IMAGE" 9>&- 2>/dev/null)
	[ "$image_there" = "$IMAGE" ] || fail "the image $IMAGE of release $RELEASE is not on the server" || return 1
	printf '%s\n' "$IMAGE" | write_file "$releases/$RELEASE/image"
	release_environment "$IMAGE"
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
	docker build --force-rm "$@" --iidfile "$run_dir/state/image" -t "$IMAGE_NAME:$RELEASE" \
		-f "$run_dir/context/$DOCKERFILE" "$run_dir/context" 9>&- || fail 'the image does not build' || return 1
	rm -rf "$run_dir/context"
	IMAGE=$(get image)
}

image_undo() {
	rm -rf "$run_dir/context"
	[ -e "$releases/$RELEASE/committed" ] || docker image rm "$IMAGE_NAME:$RELEASE" 9>&- >/dev/null 2>&1
	return 0
}
