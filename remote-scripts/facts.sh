#!/bin/sh
# facts.sh ROOT IMAGE-NAME SALT COMPOSE-PROJECT SCRIPTS-DIGEST: all the client must know of
# the server, in one answer: lines of `key=value` between two markers. Changes nothing.
root=$1
image_name=$2
salt=$3
compose_project=$4
scripts=$5

pointed() {
	[ ! -L "$1" ] || readlink "$1" | sed 's|.*/||'
}

echo 'estiba:facts'
echo "user=$(id -un)"
echo "arch=$(uname -m)"
if docker_version=$(docker version --format '{{.Server.Version}}' 2>&1); then
	echo "docker=$docker_version"
	echo "compose=$(docker compose version --short 2>/dev/null)"
	docker info --format 'store={{.Driver}} {{.DriverStatus}}
docker_root={{.DockerRootDir}}' | sed 's/io\.containerd\.snapshotter\.v1/containerd/'
else
	echo "docker_error=$(printf '%s' "$docker_version" | tail -n 1)"
fi
command -v flock >/dev/null && command -v setsid >/dev/null || echo 'lacks=util-linux (flock and setsid)'
near=$root
while [ ! -e "$near" ]; do near=$(dirname "$near"); done
[ -d "$near" ] && [ -w "$near" ] || echo "unwritable=$near"
command -v zstd >/dev/null && echo 'zstd=yes'
echo "free_kb=$(df -Pk "$near" | awk 'NR == 2 {print $4}')"
docker_root=$(docker info --format '{{.DockerRootDir}}' 2>/dev/null)
[ -z "$docker_root" ] || echo "docker_free_kb=$(df -Pk "$docker_root" 2>/dev/null | awk 'NR == 2 {print $4}')"
[ ! -d "$root/bin/$scripts" ] || echo 'scripts=present'

current=$(pointed "$root/current")
echo "current=$current"
backup=
for dump in "$root"/backups/*.dump; do
	[ ! -e "$dump" ] || backup=${dump##*/}
done
echo "backup=${backup%.dump}"
for kind in backup drill; do
	echo "last_$kind=$(grep "\"kind\":\"$kind\"" "$root/history.jsonl" 2>/dev/null | tail -n 1)"
done
echo "previous=$(pointed "$root/previous")"
for slot in blue green; do
	echo "slot_$slot=$(pointed "$root/slots/$slot")"
done
if [ -e "$root/state/lock" ] && ! flock -n "$root/state/lock" true; then
	echo "lock=$(cat "$root/state/lock.holder" 2>/dev/null)"
fi
for run in "$root"/runs/*/; do
	if [ ! -e "$run/driver.pid" ] || [ -e "$run/outcome" ]; then continue; fi
	echo "open_run=$(basename "$run")"
	# The third field of stat, behind the name in parentheses: T is stopped by a signal.
	case $(sed 's/.*) //' "/proc/$(cat "$run/driver.pid")/stat" 2>/dev/null) in
	T*) echo 'holder_stopped=yes' ;;
	esac
done
for release in "$root"/releases/*/; do
	[ -e "$release/committed" ] || continue
	image=$(cat "$release/image" 2>/dev/null)
	docker image inspect "$image" >/dev/null 2>&1 && there=present || there=gone
	echo "release=$(basename "$release") $image $there"
done
if [ -n "$current" ] && [ -d "$root/releases/$current" ]; then
	sed -n 's/^COMMIT=/current_&/p; s/^CONTEXT_DIGEST=/current_&/p' "$root/releases/$current/release.env"
	for key in COMPOSE_PROJECT APP_SERVICE WORKERS STACK_SERVICES PROXY_SERVICE; do
		sed -n "s/^$key=/current_&/p" "$root/releases/$current/settings.env"
	done
	echo "current_since=$(cat "$root/state/since" 2>/dev/null)"
	echo "current_by=$(cat "$root/state/by" 2>/dev/null)"
	echo "current_image=$(cat "$root/releases/$current/image" 2>/dev/null)"
	sed 's/^/current_file=/' "$root/releases/$current/manifest"
	(cd "$root/releases/$current" && LC_ALL=C sha256sum -c manifest 2>/dev/null) | sed -n 's/^\(.*\): FAILED.*/edited=\1/p'
	sed -n 's/.*return 200 "\([^ ]*\) \([^ ]*\) .*/edge=\1 \2/p' "$root/edge/estiba-upstreams.conf" 2>/dev/null
	for file in $(cd "$root/releases/$current/edge" && find . -type f ! -name estiba-upstreams.conf); do
		cmp -s "$root/releases/$current/edge/$file" "$root/edge/$file" || echo "edited=edge:${file#./}"
	done
	docker ps -aq --filter "label=com.docker.compose.project=$compose_project" --filter "label=estiba.release=$current" |
		xargs -r docker inspect -f 'slot_image={{index .Config.Labels "com.docker.compose.service"}} {{.Image}}' 2>/dev/null
	while IFS= read -r line || [ -n "$line" ]; do
		case $line in
		[A-Za-z_]*=*) printf 'current_env=%s %s\n' "${line%%=*}" "$(printf '%s%s' "$salt" "$line" | sha256sum | cut -d ' ' -f 1)" ;;
		esac
	done <"$root/releases/$current/files/$(sed -n "s/^ENV_FILE=//p" "$root/releases/$current/settings.env" | tr -d "'")"
fi
for kind in current previous; do
	echo "tag_$kind=$(docker image inspect -f '{{.Id}}' "$image_name:$kind" 2>/dev/null)"
done
docker ps -a --filter "label=com.docker.compose.project=$compose_project" --filter 'label=com.docker.compose.oneoff=False' \
	--format 'container={{.Label "com.docker.compose.service"}} {{.State}} {{.ID}} {{.Label "estiba.release"}} {{.Status}}' 2>/dev/null
echo 'estiba:end'
