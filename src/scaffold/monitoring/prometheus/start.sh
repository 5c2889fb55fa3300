#!/bin/sh
# Tells Prometheus which address it asks for, and starts it.
set -eu

if [ -n "${MONITOR_URL:-}" ]; then
	printf -- '- targets: ["%s"]\n' "$MONITOR_URL" >/tmp/site.yml
fi
exec prometheus --config.file=/etc/prometheus/prometheus.yml --storage.tsdb.path=/prometheus --storage.tsdb.retention.time=30d
