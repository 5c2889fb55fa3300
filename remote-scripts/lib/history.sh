# shellcheck shell=sh
# history.jsonl: one JSON object a run, what became of it and on whose word.
# shellcheck disable=SC2154 # the settings come from run.env and lib/common.sh

# json_string TEXT: TEXT as a JSON string, control characters left out.
json_string() {
	printf '"%s"' "$(printf '%s' "$1" | tr '\n\t' '  ' | tr -d '\000-\037' | sed 's/\\/\\\\/g; s/"/\\"/g')"
}

# history_times: how long the run and its steps took, in milliseconds, as the journal has it: further members of a JSON object. A clock that
# begins again with the machine counts for nothing.
history_times() {
	[ ! -e "$run_dir/journal" ] || awk -F '\t' '
		NR == 1 { first = $1 }
		{ last = $1 }
		$2 == "began" { step = $3; began = $1 }
		($2 == "done" || $2 == "failed") && $3 == step {
			if (!(step in took)) { order[++count] = step; took[step] = 0 }
			if ($1 > began) took[step] += ($1 - began) * 10
		}
		END {
			printf ",\"duration_ms\":%d,\"steps\":{", (last > first ? (last - first) * 10 : 0)
			for (at = 1; at <= count; at++) printf "%s\"%s\":%d", (at > 1 ? "," : ""), order[at], took[order[at]]
			print "}"
		}' "$run_dir/journal"
}

# history_override: why somebody deployed although what the target requires did not hold: a further member, too.
history_override() {
	[ -z "${OVERRIDE:-}" ] || printf ',"override":%s' "$(json_string "$OVERRIDE")"
}

# history_add CODE OUTCOME STEP REASON
history_add() {
	# What failed may be told in the app's own words, which are nobody else's business.
	[ -e "$root/history.jsonl" ] || (umask 077 && : >"$root/history.jsonl") || return 1
	printf '{"run":%s,"kind":%s,"outcome":%s,"exit":%s,"release":%s,"previous":%s,"commit":%s,"by":%s,"from":%s,"started":%s,"finished":%s,"failed_step":%s,"reason":%s%s}\n' \
		"$(json_string "$RUN")" "$(json_string "$KIND")" "$(json_string "$2")" "$1" \
		"$(json_string "$RELEASE")" "$(json_string "$EXPECT_CURRENT")" "$(json_string "$COMMIT")" \
		"$(json_string "$BY")" "$(json_string "$FROM")" "$(json_string "$STARTED")" "$(json_string "$(utc_now)")" \
		"$(json_string "$3")" "$(json_string "$4")" "$(history_override)$(history_times)" >>"$root/history.jsonl"
	chmod 0600 "$root/history.jsonl"
}

# history_runs_retain RUN: that run's folder stays and those of the thirty newest; an open one always does.
history_runs_retain() {
	retain_kept=0
	for retain_run in $(newest_first "$runs"); do
		# After a clock that was set back its own is not the newest by its name.
		if [ "$retain_run" = "$1" ] || run_is_open "$runs/$retain_run"; then continue; fi
		# The release before is warm by its settings.
		! grep -q " $retain_run\$" "$state/warm" "$state/cooling" 2>/dev/null || continue
		retain_kept=$((retain_kept + 1))
		[ "$retain_kept" -lt 30 ] || rm -rf "${runs:?}/$retain_run"
	done
}
