#!/bin/sh
# Boots the server: sshd, dockerd, and what a systemd unit or cron's @reboot would do for estiba.
set -u

[ -e /etc/ssh/ssh_host_ed25519_key ] || ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key
mkdir -p /run/sshd /etc/docker
# A container of the host's own network settings cannot be told to have no IPv6.
export DOCKER_ALLOW_IPV6_ON_IPV4_INTERFACE=1
# Settings of this server's Engine, from whoever starts it.
[ -z "${DAEMON_JSON:-}" ] || printf '%s\n' "$DAEMON_JSON" >/etc/docker/daemon.json
rm -f /var/run/docker.pid /run/docker/containerd/containerd.pid
/usr/sbin/sshd

# dockerd is started again when it dies, as systemd does.
while :; do
	dockerd >>/var/log/dockerd.log 2>&1
	sleep 1
	rm -f /var/run/docker.pid
done &

for root in /srv/*/; do
	[ ! -e "${root}bin/current/boot.sh" ] || sh "${root}bin/current/boot.sh" "${root%/}" >>/var/log/estiba-boot.log 2>&1 &
done
wait
