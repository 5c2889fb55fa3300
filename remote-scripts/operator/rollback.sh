#!/bin/sh
# estiba-rollback [RELEASE]: back to the previous release, or to one that is named, by the transaction that `estiba rollback` is.
# Exit status: that of `estiba rollback`.
set -u

# Called by a link in <root>/bin, or by one to that.
here=$(CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "$0")")/.." && pwd -P)
root=$(CDPATH='' cd -- "$here/../.." && pwd -P)
for part in common settings lock warm operator; do
	. "$here/lib/$part.sh"
done

operator_look
! lock_is_held || { echo "estiba: another run holds the lock: $(lock_holder)" >&2 && exit 5; }
release=${1:-$(pointed "$root/previous")}
if ! is_word "${release:--}" || [ ! -e "$releases/$release/committed" ]; then
	echo "estiba: ${release:-the previous release} cannot be gone back to; these can:" >&2
	for kept in "$releases"/*/committed; do
		kept=${kept%/committed}
		[ "${kept##*/}" = "$current" ] || echo "  ${kept##*/}" >&2
	done
	exit 1
fi
[ "$release" != "$current" ] || { echo "unchanged: $current serves already" && exit 0; }
plan=rollback
! warm_read || [ "$warm_release" != "$release" ] || plan=rollback-warm
images=$(awk '{ printf "%s%s=%s", (NR > 1 ? " " : ""), $1, $2 }' "$releases/$release/images")
back() {
	operator_run rollback "$release" "$(sed -n "s/^$1 //p" "$here/plans")" "$(cat "$releases/$release/image")" "$images"
}
back "$plan"
code=$?
# It was kept warm, and has died meanwhile.
if [ "$code" = 1 ] && [ "$plan" = rollback-warm ] && [ -e "$run_dir/refused" ]; then
	echo '  it is started instead'
	back rollback
	code=$?
fi
exit "$code"
