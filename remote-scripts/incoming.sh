#!/bin/sh
# incoming.sh ROOT ID put SEGMENT                     standard input becomes that segment
# incoming.sh ROOT ID size SEGMENT                    how many bytes of it are here
# incoming.sh ROOT ID load TAG FORM SEGMENT:BYTES…    the segments, in this order and to this length, are one archive
#                                                     (FORM zstd or gzip): it is loaded, and the segments go
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
	docker image inspect -f 'estiba:image {{.Id}} {{json .RootFS.Layers}}' "$tag"
	;;
esac
