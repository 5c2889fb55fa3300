# shellcheck shell=sh
# history.jsonl: one JSON object a run, what became of it and on whose word.
# shellcheck disable=SC2154 # the settings come from run.env and lib/common.sh

# json_string TEXT: TEXT as a JSON string, control characters left out.
json_string() {
	printf '"%s"' "$(printf '%s' "$1" | tr '\n\t' '  ' | tr -d '\000-\037' | sed 's/\\/\\\\/g; s/"/\\"/g')"
}

# history_add CODE OUTCOME STEP REASON
history_add() {
	# What failed may be told in the app's own words, which are nobody else's business.
	[ -e "$root/history.jsonl" ] || (umask 077 && : >"$root/history.jsonl") || return 1
	printf '{"run":%s,"kind":%s,"outcome":%s,"exit":%s,"release":%s,"previous":%s,"commit":%s,"by":%s,"from":%s,"started":%s,"finished":%s,"failed_step":%s,"reason":%s}\n' \
		"$(json_string "$RUN")" "$(json_string "$KIND")" "$(json_string "$2")" "$1" \
		"$(json_string "$RELEASE")" "$(json_string "$EXPECT_CURRENT")" "$(json_string "$COMMIT")" \
		"$(json_string "$BY")" "$(json_string "$FROM")" "$(json_string "$STARTED")" "$(json_string "$(utc_now)")" \
		"$(json_string "$3")" "$(json_string "$4")" >>"$root/history.jsonl"
	chmod 0600 "$root/history.jsonl"
}

# history_runs_retain RUN: that run's folder stays and those of the thirty newest; an open one always does.
history_runs_retain() {
	retain_kept=0
	for retain_run in $(newest_first "$runs"); do
		# After a clock that was set back its own is not the newest by its name.
		if [ "$retain_run" = "$1" ] || run_is_open "$runs/$retain_run"; then continue; fi
		retain_kept=$((retain_kept + 1))
		[ "$retain_kept" -lt 30 ] || rm -rf "${runs:?}/$retain_run"
	done
}
