#!/bin/sh
# mend.sh ROOT FINDING: mends what doctor.sh found, where that can harm nothing: images and caches that nobody uses, uploads that were cut
# off, runs that nothing ends.
set -u
root=$1
case $2 in
images-dangling) docker image prune -f ;;
cache-large) docker builder prune -f --keep-storage 1GB ;;
uploads-left) find "$root/state" -maxdepth 1 \( -name 'incoming.*' -o -name 'image.*' \) -mmin +1440 -exec rm -rf {} + ;;
run-stale) sh "$root/bin/current/recover.sh" "$root" ;;
*) exit 2 ;;
esac
