#!/bin/sh
# gate.sh look|deploy ROOT PROJECT: what a restricted key runs, whatever it asks for: the forced command of its line in
# authorized_keys. A request of estiba begins with `: estiba SCRIPTS NAME ARGUMENT…;`, which a shell without a gate passes over; the
# gate reads that alone, lets a checked alphabet through, and runs NAME of the scripts that `setup` put below ROOT. What stands
# behind the semicolon is never run here. `setup` puts the names in.
set -u
set -f
umask 022
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# In the alphabets below a range is what it is in ASCII.
LC_ALL=C
export PATH LC_ALL

kind=$1
root=$2
project=$3
look='@LOOK@'
deploy='@DEPLOY@'

refuse() {
	printf 'estiba-gate: %s\n' "$*" >&2
	exit 126
}

# decoded WORD: `a` and the argument, in which `%` and three octal digits are a byte.
decoded() {
	case $1 in
	a*) ;;
	*) return 1 ;;
	esac
	case $1 in
	*%[!0-3]* | *%?[!0-7]* | *%??[!0-7]* | *% | *%? | *%?? | *%000*) return 1 ;;
	esac
	printf '%b' "$(printf '%s' "${1#a}" | sed 's/%/\\0/g')"
}

# is_checked ARGUMENT
is_checked() {
	case $1 in
	*[!A-Za-z0-9._:/@=,+\ -]*) return 1 ;;
	-?* | .. | ../* | */.. | */../*) return 1 ;;
	"$root" | "$root"/*) return 0 ;;
	/*) return 1 ;;
	esac
}

asked=${SSH_ORIGINAL_COMMAND-}
unset SSH_ORIGINAL_COMMAND
case $asked in
'') refuse 'this key opens no shell: it serves estiba alone' ;;
': estiba '*';'*) asked=${asked#': estiba '} ;;
*) refuse 'this key runs nothing but what estiba asks for' ;;
esac
asked=${asked%%;*}
case $asked in
*[!A-Za-z0-9._:/%\ -]*) refuse 'the request holds a character that none of estiba has' ;;
esac
# shellcheck disable=SC2086 # words, of a checked alphabet, without globs
set -- $asked
[ "$#" -ge 2 ] || refuse 'the request has no name'
scripts=$1
name=$2
shift 2
case $scripts in
'' | *[!0-9a-f]*) refuse 'the request names no scripts' ;;
esac
case " $look " in
*" $name "*) ;;
*)
	case " $deploy " in
	*" $name "*) ;;
	*) refuse "$name is none of what this key may ask for: log in with a key of your own for it" ;;
	esac
	[ "$kind" = deploy ] || refuse "this key may look and change nothing, and $name changes something"
	;;
esac
for word in "$@"; do
	argument=$(decoded "$word") || refuse 'an argument is not written as estiba writes it'
	is_checked "$argument" || refuse 'an argument is none that this key may give'
	shift
	set -- "$@" "$argument"
done
case $name in
true) exec true ;;
ask/logs.sh) [ "${1-}" = "$project" ] || refuse "this key may read the logs of $project alone" ;;
ask/cat.sh)
	case ${1-} in
	"$root" | "$root"/*) folder=${1%/} ;;
	*) refuse "this key reads nothing outside $root" ;;
	esac
	first=yes
	for file in "$@"; do
		if [ -n "$first" ]; then
			first=
			continue
		fi
		case $file in
		/*) refuse 'a file is named from its folder on' ;;
		esac
		[ "$kind" = look ] || continue
		# What a look may read is listed: who deployed what, what a run told, and the files of a release that hold no secret.
		case $folder:$file in
		"$root":history.jsonl | "$root"/runs/*:journal) ;;
		"$root"/releases/*) grep -qsxF -e "$file" "$folder/public" || refuse "this key reads no secret, and $file may be one" ;;
		*) refuse "this key reads no secret, and $file may be one" ;;
		esac
	done
	;;
ask/images.sh | ask/save.sh) ;;
*) [ "${1-}" = "$root" ] || refuse "this key serves $root alone" ;;
esac
[ -f "$root/bin/$scripts/$name" ] ||
	refuse "the server has other scripts than this version of estiba ($scripts): run \`estiba setup\` with it, which brings them"
exec env -i PATH="$PATH" HOME="${HOME-/}" USER="${USER-}" LOGNAME="${LOGNAME-}" ESTIBA_GATE="$kind" /bin/sh "$root/bin/$scripts/$name" "$@"
