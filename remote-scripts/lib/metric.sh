# shellcheck shell=sh
# What the team measures of a release while real requests come to it: the release's file `metrics`, a line each, the words of a shell:
#   name seconds-between in-a-row max (- for none) min (- for none) run word…
#   name seconds-between in-a-row max min prometheus address query
# A value that cannot be had is unknown, which is neither good nor bad.
# shellcheck disable=SC2154 # the settings come from lib/settings.sh

# metrics_begin: what was seen before is not known any more, but how often in a row it was wrong. The window of what is measured begins
# here.
metrics_begin() {
	rm -f "$run_dir/state/metric.value."* "$run_dir/state/metric.told."*
	uptime_cs
	metrics_since=$uptime_cs
}

# metrics_each FUNCTION: calls it with the words of each.
metrics_each() {
	[ -s "$releases/$RELEASE/metrics" ] || return 0
	while IFS= read -r metric_line; do
		eval "set -- $1 $metric_line"
		"$@" </dev/null || return 1
		set -- "$1"
	done <"$releases/$RELEASE/metrics"
}

# metrics_look: looks at those whose time has come. One that is out of its bounds too often in a row fails.
metrics_look() {
	metrics_each metric_look
}

metric_look() {
	uptime_cs
	[ "$uptime_cs" -ge "$(get "metric.due.$1" | grep . || echo 0)" ] || return 0
	put "metric.due.$1" "$((uptime_cs + $2 * 100))" || return 1
	# What it says may be anybody's: it stays on its line of the journal.
	metric_said=$(metric_value "$@" 2>"$run_dir/state/metric.error" | tr '\t\r\n' '   ' | cut -c 1-200)
	metric_said=${metric_said% }
	if ! metric_is_number "$metric_said"; then
		has "metric.told.$1" || tell "the metric $1 is not known: ${metric_said:-$(tail -n 1 "$run_dir/state/metric.error" | cut -c 1-200 | grep . || echo 'nothing was printed')}"
		put "metric.told.$1" 1
		return 0
	fi
	put "metric.value.$1" "$metric_said" || return 1
	if awk -v here="$metric_said" -v most="$4" -v least="$5" 'BEGIN { exit !((most == "-" || here + 0 <= most + 0) && (least == "-" || here + 0 >= least + 0)) }'; then
		rm -f "$run_dir/state/metric.wrong.$1"
		return 0
	fi
	metric_wrong=$(($(get "metric.wrong.$1" | grep . || echo 0) + 1))
	put "metric.wrong.$1" "$metric_wrong" || return 1
	[ "$metric_wrong" -ge "$3" ] || return 0
	metric_bounds=
	[ "$4" = - ] || metric_bounds="at most $4"
	[ "$5" = - ] || metric_bounds="${metric_bounds:+$metric_bounds and }at least $5"
	fail "the metric $1 is $metric_said, $metric_wrong times in a row out of its bounds ($metric_bounds)"
}

metric_is_number() {
	printf '%s\n' "$1" | grep -Eqx '[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?'
}

# metric_value NAME SECONDS COUNT MAX MIN KIND WORD…: prints it, or in words why it is not known.
metric_value() {
	shift 5
	metric_kind=$1
	shift
	metric_slot=$(get slot)
	uptime_cs
	metric_window=$(((uptime_cs - metrics_since) / 100))
	[ "$metric_window" -ge 1 ] || metric_window=1
	case $metric_kind in
	prometheus) metric_prometheus "$1" "$(metric_filled "$2")" ;;
	run)
		metric_words=
		for metric_word; do
			metric_words="$metric_words '$(metric_filled "$metric_word" | sed "s/'/'\\\\''/g")'"
		done
		# Five seconds, so that the looks at health are not kept waiting.
		# Into a file: a pipe would be waited for as long as anything that was started holds it.
		team_on_server "timeout -k 1 5 $metric_words" >"$run_dir/state/metric.out" || :
		sed -n 1p "$run_dir/state/metric.out"
		;;
	esac
}

# metric_filled TEXT: with what stands for the slot, the release and the window.
metric_filled() {
	METRIC_TEXT=$1 METRIC_SLOT=$metric_slot METRIC_RELEASE=$RELEASE METRIC_WINDOW=$metric_window awk '
		function put(text, mark, of,    at, out) {
			while ((at = index(text, mark)) > 0) {
				out = out substr(text, 1, at - 1) of
				text = substr(text, at + length(mark))
			}
			return out text
		}
		BEGIN {
			text = put(ENVIRON["METRIC_TEXT"], "{slot}", ENVIRON["METRIC_SLOT"])
			print put(put(text, "{release}", ENVIRON["METRIC_RELEASE"]), "{window}", ENVIRON["METRIC_WINDOW"])
		}'
}

# metric_prometheus ADDRESS QUERY: the one value that the query has now.
metric_prometheus() {
	metric_encoded=$(printf '%s' "$2" | od -An -v -tx1 | tr -d ' \n' | sed 's/../%&/g')
	metric_host=${1#*://}
	http_body "$1/api/v1/query?query=$metric_encoded" "${metric_host%%/*}" 5 >"$run_dir/state/metric.answer"
	metric_type=$(json_at "$run_dir/state/metric.answer" /data/resultType) || {
		json_at "$run_dir/state/metric.answer" /error || echo "no answer of Prometheus from $1"
		return 0
	}
	case $metric_type in
	scalar) json_at "$run_dir/state/metric.answer" /data/result/1 ;;
	vector)
		if json_at "$run_dir/state/metric.answer" /data/result/1/value/1 >/dev/null; then
			echo 'the query has several results'
		else
			json_at "$run_dir/state/metric.answer" /data/result/0/value/1 || echo 'the query has no result'
		fi
		;;
	*) echo "the query gives a $metric_type, not one value" ;;
	esac
}

# metrics_missing: the names of those that were not known once, with a comma between them.
metrics_missing() {
	metrics_each metric_missing | sed -e ':a' -e '$!{N;ba' -e '}' -e 's/\n/, /g'
}

metric_missing() {
	has "metric.value.$1" || printf '%s\n' "$1"
}

# metrics_wrong: the names of those that were out of their bounds at the last look, with a comma between them.
metrics_wrong() {
	metrics_each metric_wrong | sed -e ':a' -e '$!{N;ba' -e '}' -e 's/\n/, /g'
}

metric_wrong() {
	! has "metric.wrong.$1" || printf '%s\n' "$1"
}

# metrics_words: what was seen last of each, behind a semicolon.
metrics_words() {
	metrics_each metric_word
}

metric_word() {
	printf '; %s %s' "$1" "$(get "metric.value.$1" | grep . || echo 'not known')"
}
