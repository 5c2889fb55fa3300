#!/bin/sh
# facts.sh ROOT IMAGE-NAME SALT COMPOSE-PROJECT SCRIPTS-DIGEST EDGE-IMAGE: all the client must know of
# the server, in one answer: lines of `key=value` between two markers. Changes nothing.
root=$1
image_name=$2
salt=$3
compose_project=$4
scripts=$5
edge_image=$6

pointed() {
	[ ! -L "$1" ] || readlink "$1" | sed 's|.*/||'
}

# whole: what another part prints, which ends with `part-is-whole`.
whole() {
	awk '$0 == "part-is-whole" { whole = 1; next } { print } END { exit !whole }'
}

# engine_facts: the Engine, and Compose.
engine_facts() {
	# `docker info` ends with 0 where the Engine does not answer, and has no version then.
	if engine=$(docker info --format 'docker={{.ServerVersion}}
{{range .ClientInfo.Plugins}}{{if eq .Name "compose"}}compose={{.Version}}{{end}}{{end}}
store={{.Driver}} {{.DriverStatus}}
docker_root={{.DockerRootDir}}' 2>&1) && [ "${engine#docker=[0-9]}" != "$engine" ]; then
		printf '%s\n' "$engine" | sed 's/^compose=v/compose=/; s/io\.containerd\.snapshotter\.v1/containerd/'
	else
		echo "docker_error=$(docker version --format '{{.Server.Version}}' 2>&1 | tail -n 1)"
		engine=
	fi
	docker_root=$(printf '%s\n' "$engine" | sed -n 's/^docker_root=//p')
	[ -z "$docker_root" ] || echo "docker_free_kb=$(df -Pk "$docker_root" 2>/dev/null | awk 'NR == 2 {print $4}')"
	echo 'part-is-whole'
}

# container_facts: what runs.
container_facts() {
	ids=$(docker ps -aq --filter "label=com.docker.compose.project=$compose_project" --filter 'label=com.docker.compose.oneoff=False' 2>/dev/null)
	# A label or a health that a container does not have must not be asked for by its name alone: that is an error.
	# An image may bring one that has several lines.
	# shellcheck disable=SC2086 # ids, none with a space
	[ -z "$ids" ] || docker inspect -f '{{$labels := .Config.Labels}}container={{index $labels "com.docker.compose.service"}} {{.State.Status}} {{printf "%.12s" .Id}} {{if index $labels "estiba.edge"}}edge{{else}}-{{end}} {{with index $labels "estiba.release"}}{{join (split . "\n") " "}}{{end}} {{with index .State "Health"}}{{.Status}}{{end}}
{{with index $labels "estiba.release"}}slot_image={{index $labels "com.docker.compose.service"}} {{$.Image}} {{join (split . "\n") " "}}
slot_environment={{index $labels "com.docker.compose.service"}} {{json $.Config.Env}}{{end}}' $ids 2>/dev/null |
		while read -r line; do
			case $line in
			# Of an environment only a digest leaves the server, and that only where it is another than the release was committed with.
			slot_environment=*)
				line=${line#slot_environment=}
				service=${line%% *}
				# As lib/picture.sh makes it: Compose gives the variables in any order.
				line=${line#* [}
				digest=$(printf '%s\n' "${line%]}" | sed 's/","/"\n"/g' | LC_ALL=C sort | sha256sum)
				digest=$(printf '%.16s' "$digest")
				! grep -q "^container $service " "$root/releases/$current/picture" 2>/dev/null ||
					grep -q "^container $service [^ ]* $digest\$" "$root/releases/$current/picture" || echo "environment_moved=$service"
				;;
			?*) printf '%s\n' "$line" ;;
			esac
		done
	# A proxy that looked an edge's name up once sends to nobody when that has another address.
	if [ -s "$root/state/edge-addresses" ]; then
		# shellcheck disable=SC2086 # ids, none with a space
		now=$(docker ps -q --filter "label=com.docker.compose.project=$compose_project" --filter label=estiba.edge 2>/dev/null |
			xargs -r docker inspect -f '{{index .Config.Labels "estiba.edge"}} {{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}' 2>/dev/null | sort)
		[ "$now" = "$(sort "$root/state/edge-addresses")" ] || [ -z "$now" ] || echo "edge_moved=$(printf '%s' "$now" | tr '\n' ' ')"
	fi
	echo 'part-is-whole'
}

# file_facts: what lies in the root, and the images that it knows.
file_facts() {
	command -v flock >/dev/null && command -v setsid >/dev/null || echo 'lacks=util-linux (flock and setsid)'
	near=$root
	while [ ! -e "$near" ]; do near=$(dirname "$near"); done
	[ -d "$near" ] && [ -w "$near" ] || echo "unwritable=$near"
	# Who owns the folder could put anything in the place of what lies in it.
	# So could whoever may write to it.
	stat -c '%u %A %n' "$root" "$root/bin" "$root/state" "$root/runs" "$root/releases" 2>/dev/null | while read -r owner mode folder; do
		case $owner in
		0 | "$me") ;;
		*) echo "foreign=$(stat -c %U "$folder")" ;;
		esac
		case $mode in
		????????w*) echo "open_to_all=$folder" ;;
		esac
	done
	command -v zstd >/dev/null && echo 'zstd=yes'
	echo "free_kb=$(df -Pk "$near" | awk 'NR == 2 {print $4}')"
	[ ! -d "$root/bin/$scripts" ] || echo 'scripts=present'

	echo "current=$current"
	backup=
	for dump in "$root"/backups/*.dump; do
		[ ! -e "$dump" ] || backup=${dump##*/}
	done
	echo "backup=${backup%.dump}"
	for kind in backup drill; do
		echo "last_$kind=$(grep "\"kind\":\"$kind\"" "$root/history.jsonl" 2>/dev/null | tail -n 1)"
	done
	# How long the last deploys took, and their steps, in milliseconds.
	tail -n 300 "$root/history.jsonl" 2>/dev/null | grep '"kind":"deploy","outcome":"deployed"' | tail -n 13 |
		sed -n 's/.*"duration_ms":\([0-9]*\),"steps":{\([a-z0-9_:,"-]*\)}}$/deployed=\1 \2/p' | tr -d '"'
	echo "previous=$(pointed "$root/previous")"
	for slot in blue green; do
		echo "slot_$slot=$(pointed "$root/slots/$slot")"
	done
	echo "maintenance=$(cat "$root/state/maintenance" 2>/dev/null)"
	if [ -e "$root/state/warm" ]; then
		read -r warm_release _ warm_until _ <"$root/state/warm"
		[ "$(date +%s)" -ge "${warm_until:-0}" ] || echo "warm=$warm_release $(date -u -d "@$warm_until" +%Y-%m-%dT%H:%M:%SZ)"
	fi
	echo "alerts_lost=$(tail -n 1 "$root/state/alerts-lost" 2>/dev/null)"
	if [ -n "$current" ] && grep -q "^WATCH_EVERY='*[1-9]" "$root/releases/$current/settings.env" 2>/dev/null; then
		if flock -n -s "$root/state/watch.lock" true 2>/dev/null; then echo 'watch=gone'; else echo 'watch=on'; fi
		echo "watch_wrong=$(cat "$root"/state/watch/told/* 2>/dev/null | paste -s -d ';' - | sed 's/;/; /g')"
	fi
	if [ -e "$root/state/lock" ] && ! flock -n -s "$root/state/lock" true; then
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
	# Every image that a kept release has, by its id, those that the two tags name, and the edge's.
	wanted=$(cat "$root"/releases/*/image "$root"/releases/*/images 2>/dev/null | sed 's/.* //' | sort -u)
	edge_known=$(EDGE_IMAGE=$edge_image awk '$1 == ENVIRON["EDGE_IMAGE"] { print $2 }' "$root/state/edge-image" 2>/dev/null)
	# shellcheck disable=SC2086 # ids, none with a space
	images=$(docker image inspect -f '{{.Id}} {{.Size}}{{range .RepoTags}} {{.}}{{end}}' $wanted "$image_name:current" "$image_name:previous" "${edge_known:-$edge_image}" 2>/dev/null)
	# is_there ID: is that image on the server?
	is_there() {
		case "$line_end$images" in *"$line_end$1 "*) ;; *) return 1 ;; esac
	}
	if [ -n "$edge_known" ]; then
		! is_there "$edge_known" || echo "edge_image=$edge_known"
	else
		printf '%s\n' "$images" | awk -v tag="$edge_image" '{ for (word = 3; word <= NF; word++) if ($word == tag) print "edge_image=" $1 }'
	fi
	for release in "$root"/releases/*/; do
		[ -e "$release/committed" ] || continue
		image=$(cat "$release/image" 2>/dev/null)
		there=present
		for id in $image $(sed 's/.* //' "$release/images" 2>/dev/null); do is_there "$id" || there=gone; done
		echo "release=$(basename "$release") $image $there"
	done
	if [ -n "$current" ] && [ -d "$root/releases/$current" ]; then
		sed -n 's/^COMMIT=/current_&/p; s/^CONTEXT_DIGEST=/current_&/p; s/^DIGEST_/current_&/p' "$root/releases/$current/release.env"
		while read -r variable id; do
			! is_there "$id" || echo "own_image=$variable $id"
		done 2>/dev/null <"$root/releases/$current/images"
		for key in COMPOSE_PROJECT APPS WORKERS STACK_SERVICES STACK_AFTER_JOBS STACK_AFTER_APPS; do
			sed -n "s/^$key=/current_&/p" "$root/releases/$current/settings.env"
		done
		echo "current_since=$(cat "$root/state/since" 2>/dev/null)"
		echo "current_by=$(cat "$root/state/by" 2>/dev/null)"
		echo "unfinished=$(cat "$root/state/unfinished" 2>/dev/null)"
		image=$(cat "$root/releases/$current/image" 2>/dev/null)
		echo "current_image=$image"
		printf '%s\n' "$images" | sed -n "s/^$image \([0-9]*\).*/current_image_size=\1/p" | head -n 1
		sed 's/^/current_file=/' "$root/releases/$current/manifest"
		(cd "$root/releases/$current" && LC_ALL=C sha256sum -c manifest 2>/dev/null) | sed -n 's/^\(.*\): FAILED.*/edited=\1/p'
		for folder in "$root"/edge/*/; do
			[ -e "$folder/state/slot.map" ] || continue
			app=$(basename "$folder")
			echo "edge=$app $(sed -n 's/^slot //p' "$folder/state/slot.map")"
			{ [ -f "$folder/haproxy.cfg" ] && cmp -s "$root/releases/$current/edge/$app/haproxy.cfg" "$folder/haproxy.cfg"; } || echo "edited=edge:$app"
		done
		(cd "$root/releases/$current/stack" 2>/dev/null && find . -type f) | while IFS= read -r file; do
			{ [ -f "$root/stack/$file" ] && cmp -s "$root/releases/$current/stack/$file" "$root/stack/$file"; } || echo "edited=stack:${file#./}"
		done
		while IFS= read -r line || [ -n "$line" ]; do
			case $line in
			[A-Za-z_]*=*) printf 'current_env=%s %s\n' "${line%%=*}" "$(printf '%s%s' "$salt" "$line" | sha256sum | cut -d ' ' -f 1)" ;;
			esac
		done <"$root/releases/$current/files/$(sed -n "s/^ENV_FILE=//p" "$root/releases/$current/settings.env" | tr -d "'")"
	fi
	for kind in current previous; do
		printf '%s\n' "$images" | awk -v tag="$image_name:$kind" -v key="tag_$kind" '
			{ for (word = 3; word <= NF; word++) if ($word == tag) found = $1 }
			END { print key "=" found }'
	done
}

line_end='
'
me=$(id -u)
current=$(pointed "$root/current")
echo 'estiba:facts'
echo "user=$(id -un)"
echo "arch=$(uname -m)"
# Side by side: a call of docker takes longer than all else here.
# Where one is cut off the answer has no end.
engine_facts </dev/null | {
	container_facts </dev/null | {
		file_facts </dev/null
		whole
	} && whole
} && echo 'estiba:end'
