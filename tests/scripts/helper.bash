# Runs a piece of the server's scripts in the shell that is under test (ESTIBA_TEST_SHELL), in a root of its own.

setup() {
	ROOT=$(mktemp -d)
	export ROOT
	SCRIPTS=$BATS_TEST_DIRNAME/../../remote-scripts
	mkdir -p "$ROOT/state" "$ROOT/runs/r1/state" "$ROOT/releases" "$ROOT/edge"
}

teardown() {
	rm -rf "$ROOT"
}

# script LIBS BODY: sources these libraries and runs BODY.
script() {
	local file=$ROOT/script.sh part
	{
		printf 'set -u\nroot=%s\nhere=%s\nRUN=r1\n' "$ROOT" "$SCRIPTS"
		for part in $1; do printf '. "$here/lib/%s.sh"\n' "$part"; done
		printf 'run_dir=$runs/r1\n%s\n' "$2"
	} >"$file"
	# shellcheck disable=SC2086 # `busybox sh` is two words
	run ${ESTIBA_TEST_SHELL:-dash} "$file"
}
