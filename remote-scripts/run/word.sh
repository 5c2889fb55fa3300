#!/bin/sh
# word.sh ROOT RUN STEP do|undo: the client's word on a step of the team's that ran on its machine. Standard input: yes or no, then the
# run's nonce, a line each.
root=$1
here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
. "$here/lib/common.sh"

write_file "$runs/$2/word.$3.$4" && echo 'estiba:taken'
