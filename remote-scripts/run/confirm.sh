#!/bin/sh
# confirm.sh ROOT RUN yes|no|wait: the client's word on what the site looks like from outside. Standard input: the run's
# nonce for yes, the reason for no. `wait`: other hosts of the fleet are not as far; the time for the word begins anew.
root=$1
here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
. "$here/lib/common.sh"

case $3 in
yes) write_file "$runs/$2/confirmed" ;;
wait) write_file "$runs/$2/held" ;;
*) write_file "$runs/$2/denied" ;;
esac && echo 'estiba:taken'
