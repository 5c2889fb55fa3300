# shellcheck shell=sh
# Alerts: what people are told of by the channels of a release, which are its folder `alerts`:
#   on             the words of [alerts] on
#   CHANNEL.curl   how curl reaches it: address, headers, user
#   CHANNEL.body   what is sent, with marks in it for the words of the alert (src/server/protocol/alert_mark.rs)
# An alert that waits is a folder of state/alerts, with its title, its text and copies of these; run/alerts.sh sends it. Nothing of this
# can make a run fail or wait.
# shellcheck disable=SC2154 # the settings come from run.env and lib/settings.sh

alerts=$state/alerts

# alert_words CODE OUTCOME: what that end of a run is, in the words of [alerts] on, the more telling first.
alert_words() {
	case $KIND:$1:$2 in
	# Somebody else's run goes on.
	*:5:*) ;;
	deploy:0:*)
		! alert_failed_before || echo recovered
		echo deployed
		;;
	rollback:0:*) echo rolled-back ;;
	*:0:*) ;;
	*:3:*) echo rolled-back ;;
	*:*:refused) echo refused ;;
	*) echo failed ;;
	esac
}

# alert_failed_before: did the deploy before this one fail?
alert_failed_before() {
	grep '"kind":"deploy"' "$root/history.jsonl" 2>/dev/null | grep -vF "\"run\":\"$RUN\"" | tail -n 1 | grep -v '"outcome":"refused"' | grep -q '"exit":[1-9]'
}

# alert_of_run CODE OUTCOME STEP REASON: the alert of this run's end, where anybody wants to hear of it.
alert_of_run() {
	[ "${ALERTS:-1}" = 1 ] || return 0
	alert_from=$releases/$RELEASE/alerts
	# An earlier release may know nobody, or an address that is gone.
	[ "$KIND" != rollback ] || [ ! -e "$releases/$EXPECT_CURRENT/alerts/on" ] || alert_from=$releases/$EXPECT_CURRENT/alerts
	[ -e "$alert_from/on" ] || return 0
	alert_word=
	for alert_one in $(alert_words "$1" "$2"); do
		case " $(cat "$alert_from/on") " in
		*" $alert_one "*) alert_word=$alert_one && break ;;
		esac
	done
	case $alert_word:$1 in
	:*) return 0 ;;
	deployed:*) alert_title="release $RELEASE is deployed" ;;
	recovered:*) alert_title="release $RELEASE is deployed; the deploy before it had failed" ;;
	rolled-back:0) alert_title="back on release $RELEASE" ;;
	rolled-back:*) alert_title="the $KIND of $RELEASE failed at $3 and was undone" ;;
	refused:*) alert_title="the $KIND was refused at $3" ;;
	*:4) alert_title="the $KIND of $RELEASE failed${3:+ at $3} and needs a person" ;;
	*) alert_title="the $KIND failed${3:+ at $3}" ;;
	esac
	{
		[ -z "$4" ] || printf '%s\n' "$4"
		[ -z "$3" ] || alert_last_lines "$3"
		printf 'Release %s serves. Asked for by %s from %s%s.\n' "$(pointed "$root/current" | grep . || echo none)" "$BY" "$FROM" "${COMMIT:+, commit $COMMIT}"
		[ -z "${SITE_URL:-}" ] || printf '%s\n' "$SITE_URL"
	} | alert_add "$RUN" "$alert_title" "$alert_from"
}

# alert_last_lines STEP: the last that this step printed, as the journal has it: without secrets.
alert_last_lines() {
	awk -F '\t' -v step="$1" '$2 == "out" && $3 == step && $4 != ""' "$run_dir/journal" 2>/dev/null | tail -n 8 | cut -f 4- | cut -c 1-300 |
		sed 's/^/> /'
}

# alert_add NAME TITLE FOLDER: an alert with its text from standard input, by the channels of that folder.
alert_add() {
	add_at=$alerts/.$1
	(
		umask 077
		mkdir -p "$alerts" && rm -rf "$add_at" && mkdir "$add_at" || exit 1
		printf '%s\n' "$PROJECT $TARGET: $2" | head -c 200 | alert_plain | tr '\n' ' ' | sed 's/ $//' >"$add_at/title" || exit 1
		{
			cat "$add_at/title"
			echo
			cat
			echo "Host: $(uname -n)"
		} | head -c 1900 | alert_plain >"$add_at/text" || exit 1
		cp "$3"/*.curl "$3"/*.body "$add_at/" && rm -rf "${alerts:?}/$1" && mv "$add_at" "$alerts/$1"
	) 2>/dev/null || { rm -rf "$add_at" && return 1; }
}

# alert_plain: standard input without control characters, and without what is no UTF-8 where that can be told: it may have been cut
# within a character.
alert_plain() {
	if command -v iconv >/dev/null 2>&1; then
		tr -d '\000-\010\013-\037\177' | iconv -c -f UTF-8 -t UTF-8
	else
		tr -d '\000-\010\013-\037\177'
	fi
}

# alerts_start: sends what waits, beside whatever else is done.
alerts_start() {
	[ -n "$(find "$alerts" -mindepth 1 -maxdepth 1 -type d 2>/dev/null | head -n 1)" ] || return 0
	ALERTS_FROM=${ALERTS_FROM:-} setsid sh "$here/run/alerts.sh" "$root" send </dev/null >/dev/null 2>&1 8>&- 9>&- &
}

# alert_fill FOLDER CHANNEL: what is sent by that channel.
alert_fill() {
	# On a full disk nothing can be written.
	ALERT_BASE64=$(base64 <"$1/text") LC_ALL=C awk -v folder="$1" -v date="$(LC_ALL=C date -u '+%a, %d %b %Y %H:%M:%S +0000')" '
		function file(name, lines, line, text) {
			while ((getline line <(folder "/" name)) > 0) text = text (lines++ ? "\n" : "") line
			close(folder "/" name)
			return text
		}
		# Every sign of TEXT that is OF becomes AS.
		function put(text, of, as, out, at) {
			while ((at = index(text, of)) > 0) {
				out = out substr(text, 1, at - 1) as
				text = substr(text, at + length(of))
			}
			return out text
		}
		function json(text) {
			text = put(put(text, "\\", "\\\\"), "\"", "\\\"")
			return "\"" put(put(text, "\n", "\\n"), "\t", "\\t") "\""
		}
		function slack(text) {
			return json(put(put(put(text, "&", "&amp;"), "<", "&lt;"), ">", "&gt;"))
		}
		function value(mark) {
			if (mark == "@@title-json@@") return json(title)
			if (mark == "@@text-json@@") return json(text)
			if (mark == "@@text-slack@@") return slack(text)
			if (mark == "@@title@@") return title
			if (mark == "@@text@@") return text
			if (mark == "@@text-base64@@") return ENVIRON["ALERT_BASE64"]
			if (mark == "@@date@@") return date
			return mark
		}
		BEGIN {
			title = file("title")
			text = file("text")
		}
		{
			line = $0
			while (match(line, /@@[a-z0-9-]+@@/)) {
				printf "%s%s", substr(line, 1, RSTART - 1), value(substr(line, RSTART, RLENGTH))
				line = substr(line, RSTART + RLENGTH)
			}
			print line
		}' "$1/$2.body"
}
