# shellcheck shell=sh
# The journal: one line a record, fields parted by tabs, appended to runs/RUN/journal:
#   HUNDREDTHS-SINCE-BOOT  KIND  STEP  TEXT
# Kinds: run, began, out, done, failed, undoing, undone, undo-failed, note, outcome.
# shellcheck disable=SC2154 # run_dir and uptime_cs come from the script and lib/common.sh

journal() {
	uptime_cs
	printf '%s\t%s\t%s\t%s\n' "$uptime_cs" "$1" "$2" "$3" >>"$run_dir/journal"
}

# load_secrets FILE: reads the values that the journal must never hold, one a line.
load_secrets() {
	secret_count=0
	[ -r "$1" ] || return 0
	while IFS= read -r secret || [ -n "$secret" ]; do
		[ "${#secret}" -ge 4 ] || continue
		secret_count=$((secret_count + 1))
		eval "secret_$secret_count=\$secret"
	done <"$1"
}

# redact: replaces every secret in $line by ***.
redact() {
	redact_index=0
	while [ "$redact_index" -lt "$secret_count" ]; do
		redact_index=$((redact_index + 1))
		eval "secret=\$secret_$redact_index"
		while :; do
			case $line in
			*"$secret"*) line="${line%%"$secret"*}***${line#*"$secret"}" ;;
			*) break ;;
			esac
		done
	done
}

# relay STEP: standard input, line by line and without secrets, into the journal.
relay() {
	while IFS= read -r line || [ -n "$line" ]; do
		redact
		uptime_cs
		printf '%s\tout\t%s\t%s\n' "$uptime_cs" "$1" "$line"
	done >>"$run_dir/journal"
}
