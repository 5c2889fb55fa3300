#!/bin/sh
# estiba-update: serves another image with the files of the release that serves, by the transaction that a deploy from the client is.
#   estiba-update IMAGE                            an image of a registry, or one that is here
#   estiba-update --build FOLDER [REVISION]        builds it: from that revision of a git repository, else from the folder as it is
#   --file DOCKERFILE                              within the folder; Dockerfile where it is not named
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

reference='' folder='' revision='' dockerfile=Dockerfile
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
deploy_steps=$(. "$state/deploy.env" && printf '%s\n' "$STEPS")
awk -F '\t' '$2 == "client" { print $1; found = 1 } END { exit !found }' "$releases/$current/steps" 2>/dev/null && {
	echo 'estiba: these steps of the team run on the machine that deploys: deploy from there' >&2
	exit 1
}

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
	docker build -q -t "$IMAGE_NAME:estiba-build" -f "$build_from/$dockerfile" "$build_from" >/dev/null || { echo 'estiba: docker build failed; nothing was changed' >&2 && exit 1; }
	reference=$IMAGE_NAME:estiba-build
elif ! docker image inspect "$reference" >/dev/null 2>&1; then
	docker pull -q "$reference" >/dev/null || { echo "estiba: the image $reference cannot be pulled; nothing was changed" >&2 && exit 1; }
fi
image=$(docker image inspect -f '{{.Id}}' "$reference") || exit 1
if [ "$image" = "$(cat "$releases/$current/image")" ]; then
	echo "unchanged: $current serves this image already"
	exit 0
fi
images=$(awk -v first="$image" '{ printf "%s%s=%s", (NR > 1 ? " " : ""), $1, ($1 == "ESTIBA_IMAGE" ? first : $2) }' "$releases/$current/images")

short=${image#sha256:}
release=$(date -u +%Y%m%dT%H%M%SZ)-${commit:-$(printf '%.7s' "$short")}
made=$releases/.made-$(operator_token)
cp -Rp "$releases/$current" "$made" || exit 1
rm -f "$made/committed" "$made/image" "$made/images" "$made/picture" "$made/estiba.env"
# Of what the image is made, the client does not know: its next deploy builds it.
printf "COMMIT='%s'\nBY='%s'\nCONTEXT_DIGEST=''\n" "$commit" "$(id -un | tr -cd 'A-Za-z0-9_.-')" >"$made/release.env"
mv "$made" "$releases/$release" || exit 1
operator_run deploy "$release" "$deploy_steps" "$image" "$images"
