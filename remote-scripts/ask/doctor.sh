#!/bin/sh
# doctor.sh ROOT PROJECT PORT…: what is wrong with the server, or will be, a line each: `estiba:finding ID DETAIL`; the server's time;
# and at last `estiba:end`. PORTs are those that the stack publishes. Changes nothing.
set -u
LC_ALL=C
export LC_ALL
PATH=$PATH:/usr/sbin:/sbin
root=$1
project=$2
shift 2

found() {
	finding=$1
	shift
	printf 'estiba:finding %s %s\n' "$finding" "$*"
}

has() {
	command -v "$1" >/dev/null 2>&1
}

# free_of PATH [-i]: how much of its file system is free, in percent, and in MB where it is not about inodes.
free_of() {
	df -P "${2:--k}" "$1" 2>/dev/null | awk 'NR == 2 { sub("%", "", $5); print 100 - $5, int($4 / 1024) }'
}

tools() {
	for pair in flock:util-linux setsid:util-linux tar:tar sha256sum:coreutils; do
		has "${pair%%:*}" || echo "${pair#*:}"
	done | sort -u | tr '\n' ' '
}

# owner_of PORT: the program that listens there, where this user may know.
owner_of() {
	ss -Hltnp "sport = :$1" 2>/dev/null | sed -n 's/.*users:(("\([^"]*\)".*/\1/p' | head -n 1
}

look_at_docker() {
	if ! has docker; then
		found docker-missing 'there is no docker'
		return 1
	fi
	answer=$(docker info --format '{{.ServerVersion}} {{.DockerRootDir}}' 2>&1)
	case $answer in
	[0-9]*) docker_root=${answer#* } ;;
	*)
		# `docker info` does not say why.
		why=$(docker version --format '{{.Server.Version}}' 2>&1 | tail -n 1)
		case $why in
		*'permission denied'*) found docker-denied "$(id -un) may not use the Docker socket" ;;
		*) found docker-down "$why" ;;
		esac
		return 1
		;;
	esac
	compose=$(docker compose version --short 2>/dev/null | sed 's/^v//')
	case $compose in
	'') found compose-missing "docker compose does not answer$(! has docker-compose || printf ' (docker-compose is %s)' "$(docker-compose version --short 2>/dev/null)")" ;;
	2.[0-9] | 2.[0-9].* | 2.1[0-9].* | [01].*) found compose-old "Docker Compose $compose" ;;
	esac
	if [ -d /run/systemd/system ] && ! systemctl is-enabled -q docker 2>/dev/null; then found engine-boot 'the Docker Engine does not start at boot'; fi
}

look_at_room() {
	seen=
	for place in "$root" "$docker_root" /tmp; do
		while [ ! -e "$place" ]; do place=$(dirname "$place"); done
		system=$(df -P "$place" | awk 'NR == 2 { print $6 }')
		case " $seen " in *" $system "*) continue ;; esac
		seen="$seen $system"
		free_of "$place" | while read -r percent megabytes; do
			if [ "$percent" -lt 10 ] || [ "$megabytes" -lt 1024 ]; then found disk-full "$system has $megabytes MB left, $percent %"; fi
		done
		free_of "$place" -i | while read -r percent _; do
			[ "$percent" -ge 10 ] || found inodes-full "$system has $percent % of its inodes left"
		done
	done
}

look_at_machine() {
	available=$(sed -n 's/^MemAvailable: *\([0-9]*\)[0-9][0-9][0-9] kB/\1/p' /proc/meminfo)
	total=$(sed -n 's/^MemTotal: *\([0-9]*\)[0-9][0-9][0-9] kB/\1/p' /proc/meminfo)
	limit=$(cat /sys/fs/cgroup/memory.max 2>/dev/null)
	[ "${available:-9999}" -ge 256 ] || found memory-low "$available MB are free, and two releases run at once during a deploy"
	if [ "${total:-9999}" -lt 2000 ] && ! grep -q '^SwapTotal: *[1-9]' /proc/meminfo; then found swap-missing "$total MB of memory and no swap"; fi
	case $limit in
	*[!0-9]* | '') ;;
	*) [ "$limit" -ge 500000000 ] || found memory-limit "this system may use $limit bytes of memory" ;;
	esac
	descriptors=$(sed -n 's/^Max open files *\([a-z0-9]*\).*/\1/p' /proc/self/limits)
	case $descriptors in
	unlimited) ;;
	*) [ "$descriptors" -ge 1024 ] || found descriptors-few "a process of $(id -un) may have $descriptors files open" ;;
	esac
	queue=$(cat /proc/sys/net/core/somaxconn 2>/dev/null)
	[ "${queue:-4096}" -ge 512 ] || found backlog-short "net.core.somaxconn is $queue"
	lacking=$(tools)
	[ -z "$lacking" ] || found tools-missing "$lacking"
	kept=
	for one in systemd-timesyn chronyd ntpd ntpd-rs; do
		! pgrep -x "$one" >/dev/null 2>&1 || kept=1
	done
	# In a container the time is the host's.
	[ -n "$kept" ] || [ -f /.dockerenv ] || found clock-free 'nothing keeps the time'
	[ ! -e /run/reboot-required ] || found reboot-due 'an update waits for a restart of the machine'
}

look_at_root() {
	[ -d "$root" ] || return 0
	[ -w "$root" ] || found root-unwritable "$(id -un) may not write to $root"
	case $(stat -c %A "$root") in
	????????w?) found root-open "everybody may write to $root" ;;
	esac
	for run in "$root"/runs/*/; do
		if [ ! -e "$run/driver.pid" ] || [ -e "$run/outcome" ]; then continue; fi
		if [ -e "$root/state/lock" ] && ! flock -n -s "$root/state/lock" true 2>/dev/null; then continue; fi
		found run-stale "the run $(basename "$run") was interrupted, and nothing ends it"
	done
	left=$(find "$root/state" -maxdepth 1 \( -name 'incoming.*' -o -name 'image.*' \) -mmin +1440 2>/dev/null | wc -l | tr -d ' ')
	[ "$left" = 0 ] || found uploads-left "$left uploads that were cut off lie in $root/state"
	if [ -e "$root/current" ] && ! grep -qs "$root/bin/current/boot.sh" /etc/systemd/system/*.service /etc/cron.d/*; then
		found boot-hook 'nothing ends interrupted runs at boot'
	fi
	newest=$(find "$root/backups" -maxdepth 1 -name '*.dump' -mtime -2 2>/dev/null | head -n 1)
	if [ -n "$(find "$root/backups" -maxdepth 1 -name '*.dump' 2>/dev/null | head -n 1)" ] && [ -z "$newest" ]; then
		found backup-old 'the newest backup of the database is older than two days'
	fi
	[ ! -s "$root/state/unfinished" ] || found deploy-unfinished "the last deploy left undone: $(tr '\n' ' ' <"$root/state/unfinished")"
}

look_at_containers() {
	docker ps -aq --filter "label=com.docker.compose.project=$project" --filter 'label=com.docker.compose.oneoff=False' | xargs -r docker inspect -f \
		'{{index .Config.Labels "com.docker.compose.service"}} {{.State.Status}} {{.RestartCount}} {{with .State.Health}}{{.Status}}{{else}}-{{end}} {{.HostConfig.LogConfig.Type}} {{with index .HostConfig.LogConfig.Config "max-size"}}{{.}}{{else}}-{{end}} {{.HostConfig.RestartPolicy.Name}}' 2>/dev/null |
		while read -r service state restarts health driver size policy; do
			case $state in
			restarting) found restarts "$service restarts again and again ($restarts times)" ;;
			esac
			[ "$health" != unhealthy ] || found unhealthy "$service"
			if [ "$driver" = json-file ] && [ "$size" = - ]; then found logs-unbounded "$service"; fi
			if [ "$state" = running ] && { [ "$policy" = no ] || [ -z "$policy" ]; }; then found no-restart "$service"; fi
		done
	dangling=$(docker images -q -f dangling=true | wc -l | tr -d ' ')
	[ "$dangling" -lt 10 ] || found images-dangling "$dangling images have no name any more"
	cache=$(timeout 20 docker system df --format '{{.Type}} {{.Size}}' 2>/dev/null | sed -n 's/^Build Cache //p')
	case $cache in
	[1-9][0-9]*GB | [5-9]*GB | *TB) found cache-large "the build cache has $cache" ;;
	esac
	if [ -s "$root/state/edge-addresses" ]; then
		now=$(docker ps -q --filter "label=com.docker.compose.project=$project" --filter label=estiba.edge |
			xargs -r docker inspect -f '{{index .Config.Labels "estiba.edge"}} {{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}' | sort)
		[ "$now" = "$(sort "$root/state/edge-addresses")" ] || [ -z "$now" ] || found edge-moved "$now"
	fi
}

look_at_ports() {
	for port in "$@"; do
		# In decimal and in the kernel's own form.
		ss -Hltn "sport = :$port" 2>/dev/null | grep -q . || continue
		[ -z "$(docker ps -q --filter "label=com.docker.compose.project=$project" --filter "publish=$port")" ] || continue
		other=$(docker ps --filter "publish=$port" --format '{{.Names}}' | head -n 1)
		found port-taken "$port is held by ${other:-$(owner_of "$port")}"
	done
}

printf 'estiba:clock %s\n' "$(date +%s)"
docker_root=/var/lib/docker
engine=yes
look_at_docker || engine=
look_at_room
look_at_machine
look_at_root
if [ -n "$engine" ]; then
	look_at_containers
	look_at_ports "$@"
fi
echo 'estiba:end'
