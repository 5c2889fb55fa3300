#!/bin/sh
# incoming.sh ROOT ID put SEGMENT                     standard input becomes that segment
# incoming.sh ROOT ID size SEGMENT                    how many bytes of it are here
# incoming.sh ROOT ID load TAG FORM SEGMENT:BYTES…    the segments, in this order and to this length, are one archive
#                                                     (FORM zstd, gzip or plain): it is loaded, and the segments go
# incoming.sh ROOT ID pull TAG REFERENCE PORT USER    the Engine pulls that through the port, which leads to the client, as that
#                                                     user, with the password on standard input
# incoming.sh ROOT ID fetch TAG REFERENCE USER        the Engine pulls that from its registry, as that user where one is
#                                                     named, with the password on standard input
# An image on its way: in segments, so that what a lost connection has brought need not come again. A connection that is
# lost may go on writing its segment for a while: only the bytes that were counted before count.
set -u
umask 077

root=$1
folder=$1/state/image.$2
verb=$3
shift 3

load() {
	for segment in "$@"; do
		head -c "${segment##*:}" "$folder/${segment%:*}"
	done | $unpack | docker load >&2
}

# Says which image has that tag now. The Engine does not list an image of which it lacks a part.
arrived() {
	[ -z "$(docker image ls -q "$tag")" ] || echo estiba:whole
	docker image inspect -f 'estiba:image {{.Id}} {{.Os}}/{{.Architecture}} {{json .RootFS.Layers}}' "$tag"
}

# take REFERENCE: pulls it, and leaves it with its tag alone.
take() {
	docker pull -q "$1" >&2 || exit 1
	docker tag "$1" "$tag" && docker image rm "$1" >&2
	arrived
}

# log_in USER REGISTRY: with the password on standard input. Docker keeps what it logs in with in a file: one of its own, for as long as
# the pull. The Engine stays the one that the user's own settings name.
log_in() {
	DOCKER_HOST=${DOCKER_HOST:-$(docker context inspect -f '{{.Endpoints.docker.Host}}' 2>/dev/null)}
	[ -z "$DOCKER_HOST" ] || export DOCKER_HOST
	DOCKER_CONFIG=$(mktemp -d) || exit 1
	export DOCKER_CONFIG
	trap 'rm -rf "$DOCKER_CONFIG"' EXIT
	trap 'exit 1' HUP INT TERM
	# shellcheck disable=SC2086 # a registry's name, or none
	docker login -u "$1" --password-stdin $2 >/dev/null || exit 1
}

case $verb in
put)
	mkdir -p "$folder" && cat >"$folder/$1" && echo estiba:taken
	;;
size)
	size=$(wc -c <"$folder/$1" 2>/dev/null | tr -d ' ')
	echo "estiba:size ${size:-0}"
	;;
load)
	tag=$1
	case $2 in
	zstd) unpack='zstd -dcq' ;;
	*) unpack='cat' ;;
	esac
	shift 2
	# Asked again after a lost connection, it may be done already.
	loaded=
	if [ ! -d "$folder" ] || load "$@"; then loaded=1; fi
	rm -rf "$folder"
	# What a client that died has left.
	find "$root/state" -maxdepth 1 -name 'image.*' -mmin +1440 -exec rm -rf {} +
	[ -n "$loaded" ] || exit 1
	arrived
	;;
pull)
	tag=$1
	# With `GatewayPorts yes` sshd opens the port to everybody. An address of loopback begins with 7F, its last byte first.
	hex=$(printf '%04X' "$3")
	if cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | grep -E "^ *[0-9]+: [0-9A-F]+:$hex [0-9A-F:]+ 0A " |
		grep -qvE ': ([0-9A-F]{6}7F|0{24}01000000):'; then
		echo 'its sshd forwards ports to everybody (GatewayPorts)' >&2
		exit 1
	fi
	log_in "$4" "${2%%/*}"
	take "$2"
	;;
fetch)
	tag=$1
	# Without a user it is whoever the server's own user has logged in as.
	if [ -n "$3" ]; then
		registry=${2%%/*}
		[ "$registry" != docker.io ] || registry=
		log_in "$3" "$registry"
	fi
	take "$2"
	;;
esac
