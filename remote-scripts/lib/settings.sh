# shellcheck shell=sh
# What a release and a run say of themselves: their names, each with what it means, are those of src/server/protocol/files.rs.
# A release that an older version made leaves some out: what they are then stands here, and nowhere else.
#
# Needs root and run_dir, see lib/common.sh.
# shellcheck disable=SC2034,SC2154 # the settings are read by whoever sources this

# The newest release that these scripts understand: src/server/protocol/mod.rs.
protocol=1

# read_run: what this run is to do.
read_run() {
	. "$run_dir/run.env"
	: "${IMAGE_IDS:=}" "${BUILT_IMAGE:=ESTIBA_IMAGE}" "${BACKUP_ID:=}" "${RECOVER:=}"
}

# read_release RELEASE: how it is deployed, and by what.
read_release() {
	. "$releases/$1/settings.env"
	: "${PROTOCOL:=0}" "${TARGET:=production}" "${ENV_FILE:=}" "${SECRETS:=}" "${OFFSITE_SECRETS:=}"
	: "${APPS:=${APP_SERVICE:-}}" "${MIGRATE_SERVICE:=${APP_SERVICE:-}}" "${PROXIES:=${PROXY_SERVICE:-}}"
	: "${JOBS:=}" "${STACK_JOBS:=}" "${STACK_AFTER_JOBS:=}" "${STACK_AFTER_APPS:=}" "${STACK_BUILT:=}" "${SHARED_FILES:=}"
	: "${IMAGES:=}" "${EDGE_IMAGE:=haproxy:lts}" "${HEALTH_ACCEPT:=}" "${MIGRATE_TIMEOUT:=1800}"
	: "${PENDING_MIGRATIONS:=}" "${REVERSE_MIGRATION:=}" "${MIGRATE_ALWAYS:=1}"
	: "${DATABASE_SERVICE:=}" "${BACKUP:=never}" "${DURING_MIGRATIONS:=online}" "${RESTORE:=never}"
	: "${CACHE_SERVICE:=}" "${CACHE_PERSIST:=0}"
	: "${KEEP_BACKUPS:=14}" "${KEEP_DAILY:=0}" "${KEEP_WEEKLY:=0}" "${KEEP_MONTHLY:=0}"
	: "${BACKUP_SCHEDULE:=}" "${DRILL_SCHEDULE:=}" "${BACKUP_ALERT:=}" "${OFFSITE:=}" "${OFFSITE_IMAGE:=}"
}

# setting RELEASE NAME: a setting as that release has it, which may name its services otherwise than this one.
setting() (
	unset -v "$2"
	. "$releases/$1/settings.env" && eval "printf '%s\n' \"\${$2:-}\""
)
