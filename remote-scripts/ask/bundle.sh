#!/bin/sh
# bundle.sh ROOT LINES: what somebody who helps from afar needs to know, in parts: `estiba:bundle NAME` before each, `estiba:end` after the
# last. The last LINES lines of each container's log are among them. The secrets of the release that serves are taken out of all of it.
# Changes nothing.
root=$1
bundle_lines=$2
here=$root/bin/current
[ -e "$here/lib/settings.sh" ] || {
	echo 'estiba:unknown the server has the scripts of an older estiba, and the next deploy brings newer ones'
	exit
}
RELEASE=$(readlink "$root/current" | sed 's|.*/||')
run_dir=$(mktemp -d) || exit 1
trap 'rm -rf "$run_dir"' EXIT
mkdir "$run_dir/state"
for part in common settings journal; do
	. "$here/lib/$part.sh"
done
[ -e "$releases/${RELEASE:-none}/settings.env" ] || {
	echo 'estiba:unknown no release serves, so that it is not known which secrets to take out'
	exit
}
read_release "$RELEASE"
load_secrets
# A project in the user's own folder is another one.
cd / || exit 1
unset COMPOSE_FILE COMPOSE_PROFILES COMPOSE_PROJECT_NAME COMPOSE_ENV_FILES

part() {
	printf '\nestiba:bundle %s\n' "$1"
}

bundle() {
	part server.txt
	uname -a
	cat /etc/os-release
	uptime
	df -h "$root" "$(docker info -f '{{.DockerRootDir}}' 9>&-)"
	free -m
	docker version
	docker compose version
	docker system df
	part containers.txt
	docker ps -a --filter "label=com.docker.compose.project=$COMPOSE_PROJECT" --format 'table {{.Names}}\t{{.Image}}\t{{.Status}}\t{{.Ports}}'
	part history.jsonl
	tail -n 200 "$root/history.jsonl"
	part releases.txt
	ls -l "$root" "$root/slots" "$root/releases"
	while IFS= read -r bundle_file; do
		case $bundle_file in
		*.yml | settings.env | apps | edge/*/haproxy.cfg) part "release/$bundle_file" && cat "$releases/$RELEASE/$bundle_file" ;;
		esac
	done <"$releases/$RELEASE/public"
	for bundle_file in "$edge"/*/state/*.map; do
		[ ! -e "$bundle_file" ] || { part "edge/${bundle_file#"$edge/"}" && cat "$bundle_file"; }
	done
	for bundle_file in $(find "$runs" -mindepth 1 -maxdepth 1 -type d | sort | tail -n 10); do
		part "runs/${bundle_file##*/}.txt"
		cat "$bundle_file/journal"
	done
	part logs.txt
	docker compose -p "$COMPOSE_PROJECT" logs -t --no-color --tail="$bundle_lines"
}

bundle 2>&1 9>&- | without_secrets
printf '\nestiba:end\n'
