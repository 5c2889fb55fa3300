# shellcheck shell=sh
# volume-keep RUN: in a container, with a volume at /volume: what the restored content took the place of is kept, for root alone.
set -eu

cd /volume
[ -d ".estiba-restore-$1" ] || exit 0
[ ! -d ".estiba-restore-$1/old" ] || mv -T ".estiba-restore-$1/old" ".estiba-replaced-$1"
rm -rf ".estiba-restore-$1"
