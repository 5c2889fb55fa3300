# shellcheck shell=sh
# cool: the time is over for which the release before was kept warm: what is still open to it may end, and then it stops. Called when
# the run that kept it has long ended.

cool_do() {
	read -r cool_release cool_slot _ <"$state/cooling" || return 1
	# Their ids, once: a later run may be about to use the slot.
	cool_ids=$(docker ps -q --no-trunc --filter "label=com.docker.compose.project=$COMPOSE_PROJECT" \
		--filter "label=estiba.release=$cool_release" --filter "label=estiba.slot=$cool_slot" 9>&-) || return 1
	for cool_app in $OLD_APPS; do
		[ -n "$(edge_container "$cool_app")" ] || continue
		edge_drain "$cool_app" "$cool_slot" "$DRAIN_TIMEOUT" ||
			note "$drain_open requests or open streams to the old release of $cool_app were still open after $DRAIN_TIMEOUT s and are cut now"
	done
	for cool_id in $cool_ids; do
		docker update --restart no "$cool_id" 9>&- >/dev/null
		docker stop "$cool_id" 9>&- >/dev/null || [ -z "$(docker ps -q --no-trunc --filter "id=$cool_id" 9>&-)" ] || return 1
	done
	note "release $cool_release is not warm any more: it has stopped"
}
