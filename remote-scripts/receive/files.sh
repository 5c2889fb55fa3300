#!/bin/sh
# receive.sh ROOT STAGING: a tar stream, compressed by gzip, on standard input, checked against its manifest (sha256sum's
# format, in the stream as `manifest`) and renamed into place. Nothing is in place before all of it is checked.
# Folders of the stream are ROOT's own: bin/DIGEST, releases/ID, runs/ID. Those that exist are left alone.
set -u
umask 022

root=$1
staging=$root/state/incoming.$2

stop() {
	rm -rf "$staging"
	echo "estiba:error $*"
	exit 1
}

mkdir -p "$staging" "$root/bin" "$root/releases" "$root/runs" "$root/slots" "$root/shared" "$root/backups" "$root/edge" "$root/stack" ||
	stop "cannot make the folders under $root"
# Whoever else is on the server needs none of it; shared/ alone may be read by a proxy on the host.
chmod 0700 "$root/runs" "$root/releases" "$root/state" "$root/slots" "$root/backups" "$root/edge" "$root/stack" 2>/dev/null
tar -xzf - -C "$staging" || stop "the upload did not arrive whole"
(cd "$staging" && sha256sum -c manifest >/dev/null) || stop "the upload does not match its manifest"
# A restricted key runs the scripts that its setup brought, and no others.
[ -z "${ESTIBA_GATE:-}" ] || rm -rf "${staging:?}/bin"
# What an undo reads is there after a power cut; of a build's context all is sent again.
find "$staging" -type f ! -path '*/context/*' -exec sync {} + 2>/dev/null || sync
for path in "$staging"/bin/* "$staging"/releases/* "$staging"/runs/*; do
	[ -e "$path" ] || continue
	place=$root${path#"$staging"}
	[ ! -e "$place" ] || continue
	mv "$path" "$place" || stop "cannot put $place in place"
done
sync "$root/bin" "$root/releases" "$root/runs" 2>/dev/null || sync
rm -rf "$staging"
echo 'estiba:received'
