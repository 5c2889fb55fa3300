# shellcheck shell=sh
# The journal: one line a record, fields parted by tabs, appended to runs/RUN/journal:
#   HUNDREDTHS-SINCE-BOOT  KIND  STEP  TEXT
# Kinds: run, began, out, done, failed, undoing, undone, undo-failed, note, slots, outcome.
# shellcheck disable=SC2154 # run_dir and uptime_cs come from the script and lib/common.sh

journal() {
	uptime_cs
	printf '%s\t%s\t%s\t%s\n' "$uptime_cs" "$1" "$2" "$3" >>"$run_dir/journal"
}

# journal_slots APP SHARE LEFT NEW-REQUESTS NEW-ERRORS NEW-P50 NEW-P95 OLD-REQUESTS OLD-ERRORS OLD-P50 OLD-P95: how both releases do, for
# whoever looks on: the share in percent, the seconds that are left, milliseconds or `-`. Every two seconds at most.
journal_slots() {
	uptime_cs
	[ "$uptime_cs" -ge "$(get "slots-due.$1" | grep . || echo 0)" ] || return 0
	put "slots-due.$1" "$((uptime_cs + 200))"
	journal slots "$step" "$*"
}

# load_secrets: reads the values that the journal must never hold from where the release has them: its env file and the
# one for the off-site repository. No other file holds a copy.
load_secrets() {
	secret_count=0
	secret_list=$(
		secrets_in "$releases/$RELEASE/files/$ENV_FILE" "$SECRETS" quoted
		secrets_in "$releases/$RELEASE/offsite.env" "$OFFSITE_SECRETS" plain
	)
	# The longest first: one that lies within another would leave the rest of that.
	secret_list=$(printf '%s\n' "$secret_list" | LC_ALL=C awk '{ print length($0) "\t" $0 }' | sort -rn | cut -f 2-)
	secret_ifs=$IFS
	IFS='
'
	set -f
	for secret in $secret_list; do
		[ "${#secret}" -ge 4 ] || continue
		secret_count=$((secret_count + 1))
		eval "secret_$secret_count=\$secret"
	done
	set +f
	IFS=$secret_ifs
}

# secrets_in FILE PLACES FORM: prints what stands at these places, `KEY:offset:length`, of the file's values: bytes of
# the value without the quotes that Compose takes off, where FORM is quoted. Each line of them, also as JSON, Python, a shell and
# addresses write it.
secrets_in() {
	[ -n "$2" ] && [ -r "$1" ] || return 0
	LC_ALL=C awk -v places="$2" -v form="$3" '
		function value(raw, first, out, at, c) {
			first = substr(raw, 1, 1)
			if (form == "quoted" && first == "\047") return substr(raw, 2, length(raw) - 2)
			if (form != "quoted" || first != "\"") return raw
			for (at = 2; at < length(raw); at++) {
				c = substr(raw, at, 1)
				if (c == "\\") {
					c = substr(raw, ++at, 1)
					if (c == "n") c = "\n"
					else if (c == "r") c = "\r"
				}
				out = out c
			}
			return out
		}
		# As programs write a text in quotes: backslashes and these quotes with a backslash before them.
		function escaped(text, quotes, out, at, c) {
			for (at = 1; at <= length(text); at++) {
				c = substr(text, at, 1)
				out = out (c == "\\" || index(quotes, c) ? "\\" c : c)
			}
			return out
		}
		# As addresses have it: all but letters, digits and these signs by their numbers.
		function percent(text, kept, out, at, c) {
			for (at = 1; at <= length(text); at++) {
				c = substr(text, at, 1)
				out = out (c ~ /[A-Za-z0-9]/ || index(kept, c) ? c : sprintf("%%%02X", number[c]))
			}
			return out
		}
		# Each of these signs as another text.
		function put(text, sign, as, out, at, c) {
			for (at = 1; at <= length(text); at++) {
				c = substr(text, at, 1)
				out = out (c == sign ? as : c)
			}
			return out
		}
		function tell(text) {
			if (!told[text]++) print text
		}
		BEGIN {
			count = split(places, place, " ")
			for (byte = 1; byte < 256; byte++) number[sprintf("%c", byte)] = byte
		}
		{
			equals = index($0, "=")
			for (one = 1; one <= count; one++) {
				split(place[one], part, ":")
				if (!equals || part[1] != substr($0, 1, equals - 1)) continue
				lines = split(substr(value(substr($0, equals + 1)), part[2] + 1, part[3]), secret, "\n")
				for (line = 1; line <= lines; line++) {
					tell(secret[line])
					tell(escaped(secret[line], ""))
					tell(escaped(secret[line], "\""))
					tell(escaped(secret[line], "\047"))
					tell(put(secret[line], "\047", "\047\\\047\047"))
					tell(put(secret[line], "\047", "\047\"\047\"\047"))
					tell(put(put(put(escaped(secret[line], "\""), "<", "\\u003c"), ">", "\\u003e"), "&", "\\u0026"))
					tell(percent(secret[line], "-._~"))
					tell(percent(secret[line], "-._~/"))
					tell(percent(secret[line], "-._~!*()"))
				}
			}
		}' "$1"
}

# redact: replaces every secret in $line by ***. A shell takes time with the square of a text's length; awk does not.
redact() {
	[ "${#line}" -le 4096 ] || {
		line=$(printf '%s\n' "$line" | without_secrets)
		return
	}
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
	without_secrets | while IFS= read -r line; do
		uptime_cs
		printf '%s\tout\t%s\t%s\n' "$uptime_cs" "$1" "$line"
	done >>"$run_dir/journal"
}

# without_secrets: standard input, line by line as it comes, with *** for every secret. awk takes them out and cuts a line after
# 64 KB, because a shell reads byte by byte: 5 MB in one line took it up to twenty seconds.
without_secrets() {
	# mawk waits for a full buffer unless it is told not to; others do not know the word.
	without_mawk=
	without_cut='cat'
	case $(awk -W version </dev/null 2>&1) in
	mawk*)
		without_mawk='-W interactive'
		# By itself it takes time with the square of a line's length: 10 MB took 25 s.
		! command -v stdbuf >/dev/null 2>&1 || without_cut='stdbuf -oL cut -b -1000000'
		;;
	esac
	# The secrets come in by a pipe: neither an argument nor a variable of the environment holds them.
	# shellcheck disable=SC2086 # two words, or none
	{
		secret_lines | without_awk $without_mawk '
			function literal(text, out, at, c) {
				for (at = 1; at <= length(text); at++) {
					c = substr(text, at, 1)
					out = out (c ~ /[A-Za-z0-9]/ ? c : c == "\\" || c == "^" ? "\\" c : "[" c "]")
				}
				return out
			}
			BEGIN {
				while ((getline text <"/proc/self/fd/4") > 0) {
					secret[++count] = text
					pattern[count] = literal(text)
					if (length(text) > longest) longest = length(text)
				}
				close("/proc/self/fd/4")
			}
			{
				# A line of that length may have been cut, within a secret too.
				cut = length($0) == 1000000
				for (one = 1; one <= count; one++) if (index($0, secret[one])) gsub(pattern[one], "***")
				if (cut) $0 = substr($0, 1, length($0) - longest)
				if (cut || length($0) > 65536) $0 = substr($0, 1, 65536) "… (the rest of this line is left out)"
				print
				fflush()
			}'
	} 3<&0
}

# without_awk ARG…: awk over what comes on descriptor 3, with the secrets on its descriptor 4.
without_awk() {
	# shellcheck disable=SC2086 # a program and its options
	{ LC_ALL=C $without_cut <&3 | LC_ALL=C awk "$@" 4<&5; } 5<&0
}

# secret_lines: the secrets, a line each.
secret_lines() {
	lines_index=0
	while [ "$lines_index" -lt "$secret_count" ]; do
		lines_index=$((lines_index + 1))
		eval "printf '%s\n' \"\$secret_$lines_index\""
	done
}
