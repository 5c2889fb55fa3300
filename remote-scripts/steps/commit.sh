# shellcheck shell=sh
# commit: the rename of <root>/current makes the new release the one that is. What comes after it is
# finished, never undone.
# Deadline: 300 seconds.
# A failure: finished, not undone: the new release serves.

commit_do() {
	: >"$releases/$RELEASE/committed"
	sync "$releases/$RELEASE" 2>/dev/null || sync
	point "$root/current" "releases/$RELEASE" || return 1
	commit_rest
}

commit_rest() {
	[ "$EXPECT_CURRENT" = "$RELEASE" ] || point "$root/previous" "${EXPECT_CURRENT:+releases/$EXPECT_CURRENT}"
	utc_now | write_file "$state/since"
	printf '%s\n' "$BY" | write_file "$state/by"
	write_file "$state/stack" <"$run_dir/state/stack"
	# `status` holds what runs against this.
	# shellcheck disable=SC2046 # service names and ids, none with a space
	picture_containers $(running $(slot_apps "$(get slot)") $(slot_workers "$(get slot)")) | write_file "$releases/$RELEASE/picture"
	# What an operator's own runs on this server go by.
	[ "$KIND" != deploy ] || (umask 077 && write_file "$state/deploy.env" <"$run_dir/run.env")
	for commit_name in update rollback status logs; do
		ln -sf "current/operator/$commit_name.sh" "$root/bin/estiba-$commit_name"
	done
	proxies_follow
	for commit_image in $IMAGES; do
		commit_id=$(sed -n "s/^${commit_image%%:*} //p" "$releases/$RELEASE/images")
		docker tag "$commit_id" "${commit_image#*:}:current" 9>&-
		commit_id=$(sed -n "s/^${commit_image%%:*} //p" "$root/previous/images" 2>/dev/null)
		[ -z "$commit_id" ] || docker tag "$commit_id" "${commit_image#*:}:previous" 9>&-
	done
	return 0
}

commit_undo() {
	# Reached only where the rename did not happen.
	[ "$KIND" = rollback ] || rm -f "$releases/$RELEASE/committed"
}
