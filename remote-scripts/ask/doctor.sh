#!/bin/sh
# doctor.sh ROOT PROJECT PORT…: what is wrong with the server, or will be, besides what facts.sh tells, a line each:
# `estiba:finding KIND DETAIL`; the server's time; and at last `estiba:end`. PORTs are those that the stack publishes. Changes nothing.
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

# free_of PATH [-i]: how much of its file system is free, in percent, and in MB where it is not about inodes.
free_of() {
	df -P "${2:--k}" "$1" 2>/dev/null | awk 'NR == 2 { sub("%", "", $5); print 100 - $5, int($4 / 1024) }'
}

# owner_of PORT: the program that listens there, where this user may know.
owner_of() {
	ss -Hltnp "sport = :$1" 2>/dev/null | sed -n 's/.*users:(("\([^"]*\)".*/\1/p' | head -n 1
}

look_at_room() {
	seen=
	for place in "$root" "$docker_root" /tmp; do
		while [ ! -e "$place" ]; do place=$(dirname "$place"); done
		system=$(df -P "$place" | awk 'NR == 2 { print $6 }')
		case " $seen " in *" $system "*) continue ;; esac
		seen="$seen $system"
		free_of "$place" | while read -r percent megabytes; do
			if [ "$percent" -lt 10 ] || [ "$megabytes" -lt 1024 ]; then found disk-full "$system has $megabytes MB left, $percent % of it"; fi
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
	left=$(find "$root/state" -maxdepth 1 \( -name 'incoming.*' -o -name 'image.*' \) -mmin +1440 2>/dev/null | wc -l | tr -d ' ')
	[ "$left" = 0 ] || found uploads-left "$left uploads that were cut off lie in $root/state"
	if [ -e "$root/current" ] && ! grep -qs "$root/bin/current/boot.sh" /etc/systemd/system/*.service /etc/cron.d/*; then
		found boot-hook 'nothing ends interrupted runs at boot'
	fi
	newest=$(find "$root/backups" -maxdepth 1 -name '*.dump' -mtime -2 2>/dev/null | head -n 1)
	if [ -n "$(find "$root/backups" -maxdepth 1 -name '*.dump' 2>/dev/null | head -n 1)" ] && [ -z "$newest" ]; then
		found backup-old 'the newest backup of the database is older than two days'
	fi
}

look_at_containers() {
	docker ps -aq --filter "label=com.docker.compose.project=$project" --filter 'label=com.docker.compose.oneoff=False' | xargs -r docker inspect -f \
		'{{index .Config.Labels "com.docker.compose.service"}} {{.State.Status}} {{.HostConfig.LogConfig.Type}} {{with index .HostConfig.LogConfig.Config "max-size"}}{{.}}{{else}}-{{end}} {{.HostConfig.RestartPolicy.Name}}' 2>/dev/null |
		while read -r service state driver size policy; do
			if [ "$driver" = json-file ] && [ "$size" = - ]; then found logs-unbounded "$service"; fi
			if [ "$state" = running ] && { [ "$policy" = no ] || [ -z "$policy" ]; }; then found no-restart "$service"; fi
		done
	dangling=$(docker images -q -f dangling=true | wc -l | tr -d ' ')
	[ "$dangling" -lt 10 ] || found images-dangling "$dangling images have no name any more"
	cache=$(timeout 20 docker system df --format '{{.Type}} {{.Size}}' 2>/dev/null | sed -n 's/^Build Cache //p')
	case $cache in
	[1-9][0-9]*GB | [5-9]*GB | *TB) found cache-large "the build cache has $cache" ;;
	esac
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
docker_root=$(docker info --format '{{.DockerRootDir}}' 2>/dev/null)
[ -n "$docker_root" ] || docker_root=/var/lib/docker
look_at_room
look_at_machine
look_at_root
if docker version >/dev/null 2>&1; then
	if [ -d /run/systemd/system ] && ! systemctl is-enabled -q docker 2>/dev/null; then found engine-boot 'the Docker Engine does not start at boot'; fi
	look_at_containers
	look_at_ports "$@"
fi
echo 'estiba:end'
