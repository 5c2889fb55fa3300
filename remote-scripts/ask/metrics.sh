#!/bin/sh
# metrics.sh ROOT: figures of the server, its containers and the site, in the text format of Prometheus: a name, labels and a value a
# line. Shares and rates are those of the two seconds or so that this takes. What cannot be had is left out. Changes nothing.
root=$1
here=$root/bin/current
[ -e "$here/lib/settings.sh" ] || exit 0
RELEASE=$(readlink "$root/current" | sed 's|.*/||')
EXPECT_CURRENT=$RELEASE
run_dir=$(mktemp -d) || exit 1
trap 'rm -rf "$run_dir"' EXIT
mkdir "$run_dir/state"
RUN=none
step=metrics
for part in common settings journal compose http edge apps database; do
	. "$here/lib/$part.sh"
done
[ -e "$releases/$RELEASE/apps" ] || exit 0
read_release "$RELEASE"

# metric NAME LABELS VALUE
metric() {
	[ -z "$3" ] || printf 'estiba_%s%s %s\n' "$1" "${2:+{$2\}}" "$3"
}

# Two samples of what is counted: processors and network at a moment, and the requests of each edge.
sample() {
	uptime_cs
	printf '%s\n' "$uptime_cs" >"$run_dir/at.$1"
	sed -n 's/^cpu  *//p' /proc/stat >"$run_dir/cpu.$1"
	awk -F ':' 'NR > 2 && $1 !~ /^ *(lo|veth.*|br-.*|docker.*)$/ { split($2, field, " "); received += field[1]; sent += field[9] }
		END { printf "%.0f %.0f\n", received, sent }' /proc/net/dev >"$run_dir/network.$1"
	for sample_app in $APPS; do
		edge_users "$sample_app" >"$run_dir/users.$1.$sample_app" 2>/dev/null
		for sample_slot in blue green; do
			edge_slot_times "$sample_app" "$sample_slot" >"$run_dir/times.$1.$sample_app.$sample_slot" 2>/dev/null
		done
	done
}

of_host() {
	cat "$run_dir/cpu.a" "$run_dir/cpu.b" | awk '
		{ all = 0; for (at = 1; at <= 8; at++) all += $at; idle = $4 + $5 }
		NR == 1 { all_before = all; idle_before = idle }
		NR == 2 && all > all_before { printf "estiba_host_cpu_ratio %.4f\n", 1 - (idle - idle_before) / (all - all_before) }'
	metric host_cpus '' "$(grep -c '^processor' /proc/cpuinfo)"
	metric host_load1 '' "$(cut -d ' ' -f 1 /proc/loadavg)"
	metric host_uptime_seconds '' "$(cut -d ' ' -f 1 /proc/uptime)"
	awk '$1 == "MemTotal:" { printf "estiba_host_memory_bytes %.0f\n", $2 * 1024 }
		$1 == "MemAvailable:" { printf "estiba_host_memory_available_bytes %.0f\n", $2 * 1024 }' /proc/meminfo
	df -Pk "$root" "$(docker info --format '{{.DockerRootDir}}' 2>/dev/null || echo "$root")" 2>/dev/null | awk '
		NR > 1 && !seen[$6]++ {
			printf "estiba_host_disk_bytes{path=\"%s\"} %.0f\n", $6, $2 * 1024
			printf "estiba_host_disk_used_bytes{path=\"%s\"} %.0f\n", $6, $3 * 1024
		}'
	read -r received sent <"$run_dir/network.b"
	metric host_network_received_bytes_total '' "$received"
	metric host_network_sent_bytes_total '' "$sent"
}

# As `docker stats` has it, which takes a second or two.
of_containers() {
	docker ps --no-trunc --filter "label=com.docker.compose.project=$COMPOSE_PROJECT" \
		--format '{{.ID}} {{.Label "com.docker.compose.service"}} {{.Label "estiba.release"}}' 2>/dev/null >"$run_dir/containers"
	[ -s "$run_dir/containers" ] || return 0
	# shellcheck disable=SC2046 # ids, none with a space
	docker inspect -f '{{.Id}} {{.RestartCount}}' $(cut -d ' ' -f 1 "$run_dir/containers") 2>/dev/null >"$run_dir/restarts"
	# shellcheck disable=SC2046 # as above
	docker stats --no-stream --no-trunc --format '{{.ID}};{{.CPUPerc}};{{.MemUsage}};{{.NetIO}};{{.BlockIO}};{{.PIDs}}' \
		$(cut -d ' ' -f 1 "$run_dir/containers") 2>/dev/null | awk -F ';' -v known="$run_dir/containers" -v counted="$run_dir/restarts" '
		function bytes(text,    number, unit) {
			number = text + 0
			unit = text
			sub(/^[ 0-9.]+/, "", unit)
			if (unit ~ /^KiB/) return number * 1024
			if (unit ~ /^MiB/) return number * 1048576
			if (unit ~ /^GiB/) return number * 1073741824
			if (unit ~ /^TiB/) return number * 1099511627776
			if (unit ~ /^kB/) return number * 1000
			if (unit ~ /^MB/) return number * 1000000
			if (unit ~ /^GB/) return number * 1000000000
			if (unit ~ /^TB/) return number * 1000000000000
			return number
		}
		function tell(name, value) { printf "estiba_container_%s{%s} %s\n", name, labels, value }
		BEGIN {
			while ((getline line <known) > 0) {
				split(line, word, " ")
				service[word[1]] = word[2]
				release[word[1]] = word[3]
			}
			while ((getline line <counted) > 0) {
				split(line, word, " ")
				restarts[word[1]] = word[2]
			}
		}
		$1 in service {
			labels = "service=\"" service[$1] "\",container=\"" substr($1, 1, 12) "\",release=\"" release[$1] "\""
			split($3, memory, "/")
			split($4, network, "/")
			split($5, block, "/")
			tell("cpu_ratio", sprintf("%.4f", $2 / 100))
			tell("memory_bytes", sprintf("%.0f", bytes(memory[1])))
			tell("memory_limit_bytes", sprintf("%.0f", bytes(memory[2])))
			tell("network_received_bytes_total", sprintf("%.0f", bytes(network[1])))
			tell("network_sent_bytes_total", sprintf("%.0f", bytes(network[2])))
			tell("disk_read_bytes_total", sprintf("%.0f", bytes(block[1])))
			tell("disk_written_bytes_total", sprintf("%.0f", bytes(block[2])))
			tell("processes", $6 + 0)
			if ($1 in restarts) tell("restarts_total", restarts[$1] + 0)
		}'
}

# of_times LABELS TIMES-BEFORE TIMES-NOW HUNDREDTHS: what a slot answered since its release was started, and how much of it meanwhile.
of_times() {
	awk -v labels="$1" -v before="$2" -v took="$4" '
		function tell(name, more, value) { printf "estiba_%s{%s%s} %s\n", name, labels, more, value }
		# The answer of that rank among all.
		function ranked(share,    rank, at, seen) {
			rank = all * share
			for (at = 1; at <= rows; at++) {
				seen += count[at]
				if (seen >= rank) return key[at] / 10
			}
			return key[rows] / 10
		}
		BEGIN {
			while ((getline line <before) > 0) {
				split(line, word, " ")
				earlier += word[2]
				earlier_bad += word[3]
			}
		}
		{ key[++rows] = $1; count[rows] = $2; all += $2; bad += $3; sum += $1 * $2 / 10000 }
		# What rates and quantiles over any time are made of.
		function buckets(    bounds, bound, at, seen) {
			split("0.005 0.01 0.025 0.05 0.1 0.25 0.5 1 2.5 5 10", bounds, " ")
			at = 1
			for (bound = 1; bound <= 11; bound++) {
				while (at <= rows && key[at] / 10000 <= bounds[bound]) seen += count[at++]
				tell("slot_latency_seconds_bucket", ",le=\"" bounds[bound] "\"", seen + 0)
			}
			tell("slot_latency_seconds_bucket", ",le=\"+Inf\"", all + 0)
			tell("slot_latency_seconds_count", "", all + 0)
			tell("slot_latency_seconds_sum", "", sprintf("%.4f", sum))
		}
		END {
			buckets()
			tell("slot_requests_total", "", all + 0)
			tell("slot_errors_total", "", bad + 0)
			if (took > 0 && all >= earlier) tell("slot_requests_per_second", "", sprintf("%.2f", (all - earlier) * 100 / took))
			if (all > earlier) tell("slot_error_ratio", "", sprintf("%.4f", (bad - earlier_bad) / (all - earlier)))
			if (all > 0) {
				tell("slot_latency_milliseconds", ",quantile=\"0.5\"", ranked(0.5))
				tell("slot_latency_milliseconds", ",quantile=\"0.95\"", ranked(0.95))
				tell("slot_latency_milliseconds", ",quantile=\"0.99\"", ranked(0.99))
			}
		}' "$3"
}

of_apps() {
	read -r at_a <"$run_dir/at.a"
	read -r at_b <"$run_dir/at.b"
	took=$((at_b - at_a))
	for app in $APPS; do
		if [ -s "$run_dir/users.b.$app" ]; then
			read -r requests errors <"$run_dir/users.b.$app"
			read -r requests_before errors_before <"$run_dir/users.a.$app"
			metric requests_total "app=\"$app\"" "$requests"
			metric errors_total "app=\"$app\"" "$errors"
			metric requests_per_second "app=\"$app\"" "$(awk -v all=$((requests - requests_before)) -v took="$took" 'BEGIN { if (took > 0) printf "%.2f", all * 100 / took }')"
			[ "$requests" -le "$requests_before" ] ||
				metric error_ratio "app=\"$app\"" "$(awk -v bad=$((errors - errors_before)) -v all=$((requests - requests_before)) 'BEGIN { printf "%.4f", bad / all }')"
		fi
		for slot in blue green; do
			release=$(pointed "$root/slots/$slot")
			[ -s "$run_dir/times.b.$app.$slot" ] || [ "$release" = "$RELEASE" ] || continue
			sort -n "$run_dir/times.b.$app.$slot" >"$run_dir/sorted"
			of_times "app=\"$app\",slot=\"$slot\",release=\"$release\"" "$run_dir/times.a.$app.$slot" "$run_dir/sorted" "$took"
		done
	done
}

of_data() {
	if [ -n "$DATABASE_SERVICE" ] && database_open >/dev/null 2>&1; then
		metric database_bytes '' "$(engine_bytes "$DATABASE_NAME" 2>/dev/null)"
		case $DATABASE_ENGINE in
		postgres)
			metric database_connections '' "$(echo 'SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()' | engine_sql "$DATABASE_NAME" 2>/dev/null)"
			metric database_connections_limit '' "$(echo 'SHOW max_connections' | engine_sql "$DATABASE_NAME" 2>/dev/null)"
			;;
		mysql)
			metric database_connections '' "$(echo "SELECT count(*) FROM information_schema.processlist WHERE db = $(mysql_text "$DATABASE_NAME") AND id <> connection_id()" | engine_sql information_schema 2>/dev/null)"
			;;
		esac
	fi
	if [ -n "$CACHE_SERVICE" ]; then
		cache=$(containers "$CACHE_SERVICE" 2>/dev/null | head -n 1)
	else
		cache=$(docker ps --filter "label=com.docker.compose.project=$COMPOSE_PROJECT" --format '{{.ID}} {{.Image}}' 2>/dev/null |
			awk '$2 ~ /redis|valkey/ { print $1 }' | head -n 1)
	fi
	[ -z "$cache" ] || timeout 5 docker exec "$cache" redis-cli INFO 2>/dev/null | tr -d '\r' | awk -F ':' '
		$1 == "keyspace_hits" { printf "estiba_cache_hits_total %s\n", $2 }
		$1 == "keyspace_misses" { printf "estiba_cache_misses_total %s\n", $2 }
		$1 == "used_memory" { printf "estiba_cache_memory_bytes %s\n", $2 }'
	newest=$(find "$root/backups" -maxdepth 1 -name '*.dump' 2>/dev/null | sort | tail -n 1)
	if [ -n "$newest" ]; then
		metric backup_age_seconds '' $(($(date +%s) - $(stat -c %Y "$newest")))
		metric backup_bytes '' "$(stat -c %s "$newest")"
	fi
}

of_deploys() {
	metric release_info "release=\"$RELEASE\",commit=\"$(sed -n 's/^COMMIT=//p' "$releases/$RELEASE/release.env" | tr -cd 'A-Za-z0-9')\",slot=\"$(serving_slot)\"" 1
	metric release_since_seconds '' "$(date -d "$(cat "$state/since" 2>/dev/null)" +%s 2>/dev/null)"
	waiting=0
	# One that goes on holds the lock.
	if flock -n -s "$state/lock" true 2>/dev/null; then
		for run in "$runs"/*/; do
			! run_is_open "${run%/}" || waiting=$((waiting + 1))
		done
	fi
	metric runs_waiting '' "$waiting"
	sed -n 's/^{"run":"[^"]*","kind":"\([a-z]*\)","outcome":"\([a-z-]*\)".*/\1 \2/p' "$root/history.jsonl" 2>/dev/null | sort | uniq -c |
		while read -r count kind outcome; do
			metric runs_total "kind=\"$kind\",outcome=\"$outcome\"" "$count"
		done
}

echo 'estiba:metrics'
sample a
of_containers >"$run_dir/of.containers"
uptime_cs
# A rate wants a second at least.
[ $((uptime_cs - $(cat "$run_dir/at.a"))) -ge 100 ] || sleep 1
sample b
of_host
cat "$run_dir/of.containers"
of_apps
of_data
of_deploys
echo 'estiba:end'
