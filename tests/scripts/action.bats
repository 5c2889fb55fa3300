#!/usr/bin/env bats
# What action.yml runs, with stand-ins for the programs that it calls.

setup() {
	FOLDER=$(mktemp -d)
	mkdir -p "$FOLDER/action/scripts" "$FOLDER/path" "$FOLDER/cache"
	cp "$BATS_TEST_DIRNAME/../../scripts/action" "$FOLDER/action/scripts/action"
	printf 'version = "1.2.3"\n' >"$FOLDER/action/Cargo.toml"
	printf '%064d  estiba-1.2.3-x86_64-unknown-linux-musl.tar.gz\n' 0 >"$FOLDER/action/scripts/release-sums.txt"
	for program in cargo curl; do
		printf '#!/bin/sh\nenv >"%s/%s.env"\n[ %s != curl ]\n' "$FOLDER" "$program" "$program" >"$FOLDER/path/$program"
		chmod +x "$FOLDER/path/$program"
	done
	mkdir -p "$FOLDER/action/target/release"
	printf '#!/bin/sh\necho "ran $*"; env | grep -c marker\n' >"$FOLDER/action/target/release/estiba"
	chmod +x "$FOLDER/action/target/release/estiba"
}

teardown() {
	rm -rf "$FOLDER"
}

# action VERSION: runs it with secrets around it.
action() {
	# shellcheck disable=SC2086 # `busybox sh` is two words
	PATH="$FOLDER/path:$PATH" RUNNER_TOOL_CACHE=$FOLDER/cache ESTIBA_VERSION=$1 ESTIBA_COMMAND=deploy ESTIBA_TARGET=production \
		ESTIBA_CONFIG='' ESTIBA_ARGS='' ESTIBA_COMMENT=false ESTIBA_REPOSITORY=owner/estiba ESTIBA_SSH_KEY=marker-key ESTIBA_HOST_KEYS='' \
		POSTGRES_PASSWORD=marker-password run ${ESTIBA_TEST_SHELL:-dash} "$FOLDER/action/scripts/action"
}

@test "what builds or fetches the binary sees none of the step's secrets, and the binary does" {
	action source
	[ "$status" = 0 ]
	[ "${lines[0]}" = 'ran deploy production' ]
	[ "${lines[1]}" = 2 ]
	[ -s "$FOLDER/cargo.env" ]
	! grep -q marker "$FOLDER/cargo.env"
	action 1.2.3
	[ "$status" = 2 ]
	[ -s "$FOLDER/curl.env" ]
	! grep -q marker "$FOLDER/curl.env"
}

@test "a version is a name: none that is a pattern finds a sum" {
	for version in '.*' '1.2.3-x86_64-unknown-linux-musl.tar.gz' '1.2.[3]' '9.9.9'; do
		action "$version"
		[ "$status" = 2 ]
		[[ "$output" == *'knows no SHA-256'* ]]
	done
	[ ! -e "$FOLDER/curl.env" ]
}
