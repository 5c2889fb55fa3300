#!/bin/sh
# start.sh          writes the configuration for this server, and starts Alertmanager
# start.sh check    writes it elsewhere and tries it
# start.sh reload   writes it, and has it taken over
set -eu
umask 077

here=$(dirname -- "$0")
FOLDER=/tmp/alertmanager
[ "${1:-start}" != check ] || FOLDER=/tmp/check
export FOLDER
mkdir -p "$FOLDER"
printf '%s' "${SLACK_WEBHOOK_URL:-}" >"$FOLDER/slack"
printf '%s' "${EMAIL_HOST_PASSWORD:-}" >"$FOLDER/email-password"
# A part between `# if NAMES` and `# end` is there where none of the names is empty.
awk '
	$1 == "#" && $2 == "if" {
		depth++
		if (!out) for (at = 3; at <= NF; at++) if (ENVIRON[$at] == "") out = depth
		next
	}
	$1 == "#" && $2 == "end" {
		if (out == depth) out = 0
		depth--
		next
	}
	out { next }
	{
		rest = $0
		line = ""
		while (match(rest, /\$\{[A-Z_]+\}/)) {
			line = line substr(rest, 1, RSTART - 1) ENVIRON[substr(rest, RSTART + 2, RLENGTH - 3)]
			rest = substr(rest, RSTART + RLENGTH)
		}
		print line rest
	}' "$here/alertmanager.yml" >"$FOLDER/new.yml"
mv "$FOLDER/new.yml" "$FOLDER/alertmanager.yml"
case ${1:-start} in
check) amtool check-config "$FOLDER/alertmanager.yml" ;;
reload) kill -HUP 1 ;;
*) exec alertmanager --config.file="$FOLDER/alertmanager.yml" --storage.path=/alertmanager --cluster.listen-address= ;;
esac
