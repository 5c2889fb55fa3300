# shellcheck shell=sh
# Ending runs whose process is gone. Called by whoever holds the lock.
# shellcheck disable=SC2154 # runs, root and here come from lib/common.sh and the script

# recover RUN: by the scripts that came with that run, which know its steps.
recover() {
	recover_driver=$here/run/transaction.sh
	# An older version had it beside the others.
	for recover_own in "$runs/$1/scripts/transaction.sh" "$runs/$1/scripts/run/transaction.sh"; do
		[ ! -e "$recover_own" ] || recover_driver=$recover_own
	done
	sh "$recover_driver" "$root" "$1" recover </dev/null
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
			printf '1\tfailed\tpreflight\tthe run was cut off before it began\n' | write_file "$runs/$recover_left/outcome"
		fi
	done
	return 0
}
