# shellcheck shell=sh
# What every script of a run needs: where things are, time that no clock change touches, small state.
#
# Set by whoever sources this: root (the target's folder on the server) and here (the scripts' folder).
# shellcheck disable=SC2154 # root and here, see above

umask 022

releases=$root/releases
runs=$root/runs
state=$root/state

# Seconds since boot in hundredths: it does not jump when the clock is set.
uptime_cs() {
	read -r uptime_now _ </proc/uptime
	uptime_cs=${uptime_now%.*}${uptime_now#*.}
	uptime_cs=${uptime_cs#"${uptime_cs%%[!0]*}"}
	uptime_cs=${uptime_cs:-0}
}

# A short wait between two looks at something; a whole second where sleep knows no fractions.
nap() {
	sleep "${1:-0.1}" 2>/dev/null || sleep 1
}

# deadline_in SECONDS: sets deadline for past_deadline.
deadline_in() {
	uptime_cs
	deadline=$((uptime_cs + $1 * 100))
}

past_deadline() {
	uptime_cs
	[ "$uptime_cs" -ge "$deadline" ]
}

utc_now() {
	date -u +%Y-%m-%dT%H:%M:%SZ
}

# point LINK TARGET: makes LINK a symlink to TARGET in one step; without TARGET, removes it.
point() {
	if [ -n "$2" ]; then
		rm -f "$1.new" && ln -s "$2" "$1.new" && mv -T "$1.new" "$1"
	else
		rm -f "$1"
	fi
}

# pointed LINK: prints the last part of where LINK points, nothing where there is no such link.
pointed() {
	[ -L "$1" ] || return 0
	pointed_at=$(readlink "$1") && printf '%s\n' "${pointed_at##*/}"
}

# write_file FILE: replaces FILE by standard input in one step. Nothing is written through a link: a container may have put one there.
write_file() {
	rm -f "$1.new" && (set -C && cat >"$1.new") && mv -f "$1.new" "$1"
}

# fail REASON: what a step calls when it cannot go on. The first reason given is the one reported.
fail() {
	# What a program said may hold a secret: a reason goes further than the journal.
	if [ -n "${secret_count:-}" ]; then
		line=$*
		redact
		set -- "$line"
	fi
	if [ -e "$run_dir/reason" ]; then
		printf '%s\n' "$*"
	else
		printf '%s\n' "$*" >"$run_dir/reason"
	fi
	return 1
}

# refuse CODE REASON: as fail, for what was found before anything was touched; CODE is the exit code.
refuse() {
	printf '%s\n' "$1" >"$run_dir/refused"
	shift
	fail "$@"
}

# is_word TEXT: letters, digits, dots, dashes and underscores only? What a database or a container said becomes part of a command
# only where it is.
is_word() {
	case $1 in '' | *[!A-Za-z0-9_.-]* | -*) return 1 ;; esac
}

# is_number TEXT: digits only? Arithmetic reads anything else as a name, which some shells look into for commands.
is_number() {
	case $1 in '' | *[!0-9]*) return 1 ;; esac
}

# is_sum_of SUMFILE FILE: is the SHA-256 in SUMFILE that of FILE, whatever name stands beside it?
is_sum_of() {
	sum_now=$(sha256sum <"$2") && [ "${sum_now%% *}" = "$(sed -n '1s/ .*//p' "$1")" ]
}

note() {
	printf '%s\n' "$*"
}

# tell TEXT: as note, but shown also when nobody asked for details.
tell() {
	if [ -n "${secret_count:-}" ]; then
		line=$*
		redact
		set -- "$line"
	fi
	journal note "$step" "$*"
}

# put KEY VALUE and get KEY: what one step tells another, or its own undo.
put() {
	printf '%s\n' "$2" | write_file "$run_dir/state/$1"
}

get() {
	[ ! -e "$run_dir/state/$1" ] || cat "$run_dir/state/$1"
}

has() {
	[ -e "$run_dir/state/$1" ]
}

# flushed: what an undo of this run reads is on the disk, and is there after a power cut.
flushed() {
	sync "$run_dir/steps" "$run_dir"/state/* "$run_dir/state" "$run_dir" 2>/dev/null || sync
}

# put_durably KEY VALUE: as put, for what has to be known before something is done that outlives a power cut by itself.
put_durably() {
	put "$1" "$2" && flushed
}

# token: eight random digits of sixteen, for names.
token() {
	head -c 4 /dev/urandom | od -An -tx1 | tr -d ' \n'
}

# newest_first DIR: the folders in it. Release and run ids begin with their UTC time.
newest_first() {
	find "$1" -mindepth 1 -maxdepth 1 -type d | sed 's|.*/||' | sort -r
}

# release_is_wanted RELEASE: does another run that has not ended yet name it?
release_is_wanted() {
	for wanted_run in "$runs"/*/; do
		[ "$wanted_run" = "$run_dir/" ] || [ -e "$wanted_run/outcome" ] || ! grep -q "^RELEASE=$1\$" "$wanted_run/run.env" 2>/dev/null || return 0
	done
	return 1
}

# run_is_open DIR: did that run begin, and has it no outcome yet?
run_is_open() {
	[ -e "$1/driver.pid" ] && [ ! -e "$1/outcome" ]
}
