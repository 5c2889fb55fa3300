# shellcheck shell=sh
# static-publish VERB: in a container, with a release's static files at /from and those that the proxy reads at /to.
#   list  prints which of /from are not the same in /to, a path a line
#   put   puts those there, each in one step; what is the same stays what it is
# The sums of all are held against one another: a program for each of 100,000 files would take minutes. What a list of sums does not
# write plainly (a name with a line end or a backslash in it, a link) is compared one by one.
set -eu
export LC_ALL=C

verb=$1
line_end='
'
odd="*[\\\\$(printf '\r')$line_end]*"
sums=$(mktemp -d)
cd /from

# unlike: those of /from with plain names that are not the same in /to. Where a sum could not be made, BusyBox's find says nothing of it.
unlike() {
	# shellcheck disable=SC2016 # for the shell that find starts
	find . -type f ! -path "$odd" -exec sh -c 'sha256sum "$@" || : >"$0/failed"' "$sums" {} + >"$sums/read"
	[ ! -e "$sums/failed" ]
	sort "$sums/read" >"$sums/from"
	# What is not there has no sum, and is unlike. What sha256sum says of it is no news.
	# shellcheck disable=SC2016 # as above
	find . -type f ! -path "$odd" -exec sh -c 'cd /to && sha256sum "$@"' sh {} + >"$sums/read" 2>/dev/null || :
	sort "$sums/read" >"$sums/to"
	comm -23 "$sums/from" "$sums/to" >"$sums/other"
	cut -c 67- "$sums/other"
}

case $verb in
list)
	unlike >"$sums/unlike"
	cat "$sums/unlike"
	find . ! -type d \( ! -type f -o -path "$odd" \) -exec sh -c 'for file; do cmp -s "$file" "/to/$file" || printf "%s\n" "$file"; done' sh {} +
	;;
put)
	find . -type d ! -name . -exec sh -c '
		for folder; do
			[ ! -d "/to/$folder" ] || continue
			rm -f "/to/$folder"
			mkdir "/to/$folder" && chown "$(stat -c %u:%g "$folder")" "/to/$folder" && chmod "$(stat -c %a "$folder")" "/to/$folder" || : >"$0/failed"
		done' "$sums" {} +
	[ ! -e "$sums/failed" ]
	# shellcheck disable=SC2016 # for the shell that find starts
	put='
		put() {
			[ ! -d "/to/$1" ] || rm -rf "/to/$1"
			cp -a "$1" "/to/$1.estiba" && mv -f "/to/$1.estiba" "/to/$1"
		}
	'
	eval "$put"
	unlike >"$sums/unlike"
	while IFS= read -r file; do
		put "$file"
	done <"$sums/unlike"
	find . ! -type d \( ! -type f -o -path "$odd" \) -exec sh -c "$put"'for file; do cmp -s "$file" "/to/$file" || put "$file" || : >"$0/failed"; done' "$sums" {} +
	[ ! -e "$sums/failed" ]
	;;
esac
rm -rf "$sums"
