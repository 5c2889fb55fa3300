#!/bin/sh
# estiba-update: serves another image with the files of the release that serves, by the transaction that a deploy from the client is.
#   estiba-update IMAGE                            an image of a registry, or one that is here
#   estiba-update --build FOLDER [REVISION]        builds it: from that revision of a git repository, else from the folder as it is
#   --file DOCKERFILE                              within the folder; where it is not named, that of the last deploy
# Exit status: that of `estiba deploy`.
set -u

# Called by a link in <root>/bin, or by one to that.
here=$(CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "$0")")/.." && pwd -P)
root=$(CDPATH='' cd -- "$here/../.." && pwd -P)
for part in common settings lock operator; do
	. "$here/lib/$part.sh"
done

usage() {
	sed -n 's/^#   \(.*\)/usage: \1/p' "$here/operator/update.sh" >&2
	exit 2
}

reference='' folder='' revision='' dockerfile=''
while [ $# -gt 0 ]; do
	case $1 in
	--build)
		[ $# -ge 2 ] || usage
		folder=$2
		shift
		;;
	--file)
		[ $# -ge 2 ] || usage
		dockerfile=$2
		shift
		;;
	-*) usage ;;
	*) if [ -n "$folder" ] && [ -z "$revision" ]; then revision=$1; elif [ -z "$reference" ]; then reference=$1; else usage; fi ;;
	esac
	shift
done
case "${folder:+folder}${reference:+image}" in folder | image) ;; *) usage ;; esac

operator_look
! lock_is_held || { echo "estiba: another run holds the lock: $(lock_holder)" >&2 && exit 5; }
STEPS='' BUILT_IMAGE='' DOCKERFILE='' BUILD_TARGET=''
. "$state/deploy.env"
for deploy_step in $STEPS; do
	[ ! -e "$here/steps/$deploy_step.sh" ] || continue
	place=$(awk -F '\t' -v name="$deploy_step" '$1 == name { print $2 }' "$releases/$current/steps" 2>/dev/null)
	case $place in
	app | server) ;;
	client) echo "estiba: the team's step $deploy_step runs on the machine that deploys: deploy from there" >&2 && exit 1 ;;
	*) echo "estiba: the last deploy had the step $deploy_step, and release $current has none: deploy from the client" >&2 && exit 1 ;;
	esac
done
# What the last deploy said of the first image holds for it here too.
[ "$BUILT_IMAGE" = ESTIBA_IMAGE ] || BUILD_TARGET='' DOCKERFILE=''
: "${dockerfile:=${DOCKERFILE:-Dockerfile}}"

commit=
if [ -n "$folder" ]; then
	build_from=$folder
	if [ -n "$revision" ]; then
		commit=$(git -C "$folder" rev-parse --short=7 --verify "$revision^{commit}" 2>/dev/null) ||
			{ echo "estiba: $folder has no revision $revision: git -C $folder fetch brings what is missing" >&2 && exit 2; }
		build_from=$(mktemp -d) || exit 1
		trap 'rm -rf "$build_from"' EXIT
		git -C "$folder" archive "$commit" | tar -x -C "$build_from" || exit 1
	elif [ -e "$folder/.git" ]; then
		commit=$(git -C "$folder" rev-parse --short=7 HEAD 2>/dev/null)
	fi
	docker build -q ${BUILD_TARGET:+--target "$BUILD_TARGET"} -t "$IMAGE_NAME:estiba-build" -f "$build_from/$dockerfile" "$build_from" >/dev/null || { echo 'estiba: docker build failed; nothing was changed' >&2 && exit 1; }
	reference=$IMAGE_NAME:estiba-build
elif ! docker pull -q "$reference" >/dev/null; then
	docker image inspect "$reference" >/dev/null 2>&1 || { echo "estiba: the image $reference cannot be pulled; nothing was changed" >&2 && exit 1; }
	echo "  $reference cannot be pulled; the one that is here is taken"
fi
image=$(docker image inspect -f '{{.Id}}' "$reference") || exit 1
if [ "$image" = "$(cat "$releases/$current/image")" ]; then
	echo "unchanged: $current serves this image already"
	exit 0
fi
images=$(awk -v first="$image" '{ printf "%s%s=%s", (NR > 1 ? " " : ""), $1, ($1 == "ESTIBA_IMAGE" ? first : $2) }' "$releases/$current/images")

short=${image#sha256:}
release=$(date -u +%Y%m%dT%H%M%SZ)-${commit:-$(printf '%.7s' "$short")}
made=$releases/.made-$(token)
cp -Rp "$releases/$current" "$made" || exit 1
rm -f "$made/committed" "$made/image" "$made/images" "$made/picture" "$made/estiba.env"
# Of what the image is made, the client does not know: its next deploy builds it.
printf "COMMIT='%s'\nBY='%s'\nCONTEXT_DIGEST=''\n" "$commit" "$(id -un | tr -cd 'A-Za-z0-9_.-')" >"$made/release.env"
operator_run deploy "$release" "$STEPS" "$image" "$images" "$made"
