# shellcheck shell=sh
# Ending runs that nobody works on any more. Called by whoever holds the lock.
# shellcheck disable=SC2154 # runs, root and here come from lib/common.sh and the script

# recover RUN: by the scripts that came with that run, which know its steps.
recover() {
	recover_here=$here
	[ ! -e "$runs/$1/scripts/transaction.sh" ] || recover_here=$runs/$1/scripts
	sh "$recover_here/transaction.sh" "$root" "$1" recover </dev/null
}

# recover_others RUN [own]: every interrupted run but that one; with `own`, those alone that the backup service makes.
recover_others() {
	for recover_left in "$runs"/*/; do
		recover_left=${recover_left%/}
		recover_left=${recover_left##*/}
		if [ "$recover_left" = "$1" ] || [ -e "$runs/$recover_left/outcome" ]; then continue; fi
		[ "${2:-}" != own ] || grep -q '^KIND=\(backup\|drill\)$' "$runs/$recover_left/run.env" || continue
		if [ -e "$runs/$recover_left/driver.pid" ]; then
			recover "$recover_left"
		elif [ -e "$runs/$recover_left/journal" ]; then
			# It was stopped before its driver began: nothing was touched.
			printf '1\tfailed\tpreflight\tit was cut off before it began\n' | write_file "$runs/$recover_left/outcome"
		fi
	done
	return 0
}
