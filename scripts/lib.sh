# shellcheck shell=sh
# Shared by the scripts beside it.

say() {
	printf '%s\n' "$*" >&2
}

die() {
	say "error: $*"
	exit 1
}

# as_root COMMAND…: runs it as root, through sudo where that is needed.
as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null 2>&1; then
		sudo -- "$@"
	else
		die "this needs root and there is no sudo: $*"
	fi
}

# has_package NAME: is that Debian package installed?
has_package() {
	[ "$(dpkg-query -W -f '${Status}' "$1" 2>/dev/null)" = 'install ok installed' ]
}

# install_packages NAME…: installs those of them that are missing.
install_packages() {
	missing=
	for package in "$@"; do
		has_package "$package" || missing="$missing $package"
	done
	[ -n "$missing" ] || return 0
	say "installing:$missing"
	if [ -z "${ESTIBA_APT_UPDATED:-}" ]; then
		as_root apt-get update -qq >&2
		ESTIBA_APT_UPDATED=1
		export ESTIBA_APT_UPDATED
	fi
	# shellcheck disable=SC2086 # a list of package names, none with a space
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >&2
}

# python_tools DIR ARG…: a virtual environment at DIR, with what pip installs into it for these arguments.
python_tools() {
	venv=$1
	shift
	if [ ! -x "$venv/bin/pip" ]; then
		python3 -m venv "$venv" 2>/dev/null || {
			rm -rf "$venv"
			install_packages python3 python3-venv
			python3 -m venv "$venv"
		}
	fi
	[ $# = 0 ] || "$venv/bin/pip" install -q --disable-pip-version-check "$@" >&2
}
