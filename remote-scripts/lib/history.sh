# shellcheck shell=sh
# history.jsonl: one JSON object a run, what became of it and on whose word.
# shellcheck disable=SC2154 # the settings come from run.env and lib/common.sh

# json_string TEXT: TEXT as a JSON string, control characters left out.
json_string() {
	printf '"%s"' "$(printf '%s' "$1" | tr '\n\t' '  ' | tr -d '\000-\037' | sed 's/\\/\\\\/g; s/"/\\"/g')"
}

# history_add CODE OUTCOME STEP REASON
history_add() {
	printf '{"run":%s,"kind":%s,"outcome":%s,"exit":%s,"release":%s,"previous":%s,"commit":%s,"by":%s,"from":%s,"started":%s,"finished":%s,"failed_step":%s,"reason":%s}\n' \
		"$(json_string "$RUN")" "$(json_string "$KIND")" "$(json_string "$2")" "$1" \
		"$(json_string "$RELEASE")" "$(json_string "$EXPECT_CURRENT")" "$(json_string "$COMMIT")" \
		"$(json_string "$BY")" "$(json_string "$FROM")" "$(json_string "$STARTED")" "$(json_string "$(utc_now)")" \
		"$(json_string "$3")" "$(json_string "$4")" >>"$root/history.jsonl"
}
