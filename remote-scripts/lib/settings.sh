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
	: "${KEEP_WARM:=0}" "${SERVICES:=}" "${ASKED:=}" "${IMAGE_IDS:=}" "${BUILT_IMAGE:=ESTIBA_IMAGE}" "${BACKUP_ID:=}" "${RECOVER:=}" "${OVERRIDE:=}" "${ALERTS:=1}"
	: "${CANARY_STEPS:=}" "${CANARY_STEP_SECONDS:=30}" "${CANARY_TIME:=0}" "${CANARY_WAIT:=0}" "${CANARY_STICKY:=cookie}"
	: "${CANARY_INCONCLUSIVE:=undo}" "${MAX_P95_RATIO:=1.5}" "${OBSERVE_P95:=0}" "${FLEET_TIME:=0}"
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
	: "${LOAD_SECONDS:=0}" "${CACHE_SERVICE:=}" "${CACHE_PERSIST:=0}" "${VOLUMES:=}"
	: "${KEEP_BACKUPS:=14}" "${KEEP_DAILY:=0}" "${KEEP_WEEKLY:=0}" "${KEEP_MONTHLY:=0}"
	: "${BACKUP_SCHEDULE:=}" "${DRILL_SCHEDULE:=}" "${BACKUP_ALERT:=}" "${BACKUP_IMAGE:=}" "${OFFSITE:=}" "${OFFSITE_IMAGE:=}"
	: "${SITE_URL:=}" "${WATCH_EVERY:=0}" "${WATCH_DISK:=90}" "${WATCH_CERTIFICATE:=14}" "${WATCH_BACKUP:=93600}" "${WATCH_TELL:=1}" "${WATCH_METRICS:=0}"
}

# stack_is_written PATH: may a service of the stack write to what it mounts from there, and did the release that serves have it? What
# the service wrote is its own: only what is another file in the two releases is replaced.
stack_is_written() {
	[ -n "$EXPECT_CURRENT" ] && [ -e "$releases/$EXPECT_CURRENT/stack/$1" ] || return 1
	# A rollback may lead to a release of an older version, which does not say it.
	cat "$releases/$RELEASE/stack.writable" "$releases/$EXPECT_CURRENT/stack.writable" 2>/dev/null |
		STACK_PATH=$1 awk '
			BEGIN { path = ENVIRON["STACK_PATH"] }
			$0 == path || index(path, $0 "/") == 1 || index($0, path "/") == 1 { found = 1 }
			END { exit !found }'
}

# stack_is_ours PATH: does one of the two releases have that file other than the other one?
stack_is_ours() {
	{ [ -e "$releases/$RELEASE/stack/$1" ] || [ -e "$releases/$EXPECT_CURRENT/stack/$1" ]; } &&
		! cmp -s "$releases/$RELEASE/stack/$1" "$releases/$EXPECT_CURRENT/stack/$1"
}

# setting RELEASE NAME: a setting as that release has it, which may name its services otherwise than this one.
setting() (
	unset -v "$2"
	. "$releases/$1/settings.env" && eval "printf '%s\n' \"\${$2:-}\""
)
