# shellcheck shell=sh
# maintenance: from now on the edges answer all requests with the maintenance page, through deploys too; or they let them through again.
# Deadline: 60 seconds.
# A failure: undone: as it was before.

maintenance_do() {
	serves_still || return 1
	put maintenance-before "$(fence_rest)" || return 1
	maintenance_set "$ASKED"
}

# maintenance_set on|off
maintenance_set() {
	case $1 in
	on) utc_now | write_file "$state/maintenance" || return 1 ;;
	*) rm -f "$state/maintenance" || return 1 ;;
	esac
	for maintenance_app in $APPS; do
		[ ! -e "$edge/$maintenance_app/state/fence.map" ] || edge_put "$maintenance_app" fence fence "$(fence_rest)" || return 1
	done
}

maintenance_undo() {
	case $(get maintenance-before) in
	'') ;;
	maintenance) maintenance_set on ;;
	*) maintenance_set off ;;
	esac
}
