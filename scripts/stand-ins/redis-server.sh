#!/bin/sh
# The official image's redis-server takes connections from other containers unless its settings say otherwise; Debian's
# does not.
exec /usr/bin/redis-server "$@" --protected-mode no
