#!/bin/sh
# The service manager's part for the Docker Engine, in a server in a container: that of Debian's package sets limits which none may set
# there.
export DOCKER_ALLOW_IPV6_ON_IPV4_INTERFACE=1
stop() {
	[ ! -s /run/docker.pid ] || kill "$(cat /run/docker.pid)" 2>/dev/null
	# Nobody takes leave of a process that has ended here, so that its name stays.
	while [ -e /run/docker.pid ]; do sleep 0.1; done
}
case $1 in
start)
	[ -e /run/docker.pid ] || {
		rm -f /run/docker/containerd/containerd.pid
		setsid dockerd >>/var/log/dockerd.log 2>&1 </dev/null &
	}
	;;
stop) stop ;;
restart)
	stop
	exec "$0" start
	;;
esac
