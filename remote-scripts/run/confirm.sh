#!/bin/sh
# confirm.sh ROOT RUN yes|no: the client's word on what the site looks like from outside. Standard input: the run's
# nonce for yes, the reason for no.
root=$1
here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
. "$here/lib/common.sh"

case $3 in
yes) write_file "$runs/$2/confirmed" ;;
*) write_file "$runs/$2/denied" ;;
esac && echo 'estiba:taken'
