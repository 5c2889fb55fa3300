# shellcheck shell=sh
# The team's own steps, from the release's file `steps`, a line each, its fields parted by tabs:
#   name  app|server|client  service  seconds  command  undo (- for none)
# Both commands are the words of a shell.
# shellcheck disable=SC2154 # the settings come from lib/settings.sh, step and verb from run/step.sh

team_read() {
	team_line=$(awk -F '\t' -v name="$step" '$1 == name' "$releases/$RELEASE/steps" 2>/dev/null)
	[ -n "$team_line" ] || fail "release $RELEASE has no step $step" || return 1
	IFS='	' read -r team_name team_on team_service team_seconds team_command team_way_back <<-LINE
		$team_line
	LINE
}

team_do() {
	team_read || return 1
	team_perform "$team_command" || fail "the team's step $team_name failed: $(team_words "$team_command")"
}

team_undo() {
	team_read || return 1
	[ "$team_way_back" != - ] || { note 'the step has no undo' && return 0; }
	team_perform "$team_way_back" || fail "the undo of the team's step $team_name failed: $(team_words "$team_way_back")"
}

# team_words WORDS: a command as it is shown.
team_words() {
	printf '%s' "$1" | cut -c 1-200
}

team_perform() {
	case $team_on in
	server) team_on_server "$1" ;;
	client) team_on_client ;;
	*) team_in_app "$1" ;;
	esac
}

# In the folder of the release's files, by the user who deploys.
team_on_server() (
	cd "$releases/$RELEASE/files" || exit 1
	eval "set -- $1"
	ESTIBA_ROOT=$root ESTIBA_PROJECT=$PROJECT ESTIBA_TARGET=$TARGET ESTIBA_RELEASE=$RELEASE ESTIBA_SLOT=$(get slot) \
	ESTIBA_PREVIOUS=$EXPECT_CURRENT
	export ESTIBA_ROOT ESTIBA_PROJECT ESTIBA_TARGET ESTIBA_RELEASE ESTIBA_SLOT ESTIBA_PREVIOUS
	exec "$@" 9>&-
)

# In a container of the new release where one runs, else in one of its own from the same image.
team_in_app() {
	team_id=$(containers "$team_service-$(get slot)" | head -n 1)
	if [ -n "$team_id" ]; then
		eval "set -- $1"
		docker exec "$team_id" "$@" 9>&-
	else
		one_off_service=$team_service
		one_off "$team_name" "$1"
	fi
}

# The client runs it, when the journal tells that it begins, and gives its word.
team_on_client() {
	[ -n "$NONCE" ] || fail "the run was started by a client that runs no steps of its own" || return 1
	deadline_in "$team_seconds"
	until [ -e "$run_dir/word.$step.$verb" ]; do
		! past_deadline || fail "the machine that deploys has not run the team's step $team_name within $team_seconds s; is the client still there?" || return 1
		nap 0.2
	done
	{ IFS= read -r team_answer && IFS= read -r team_nonce; } <"$run_dir/word.$step.$verb"
	[ "$team_nonce" = "$NONCE" ] || fail 'somebody else gave the word for this step' || return 1
	[ "$team_answer" = yes ]
}
