# shellcheck shell=sh
# The site as its users ask for it, from the server itself and whether there is traffic or not: the page at `/`, to the end of its
# redirects, and the styles and scripts that it names. What was like that before is no fault of the release.
# shellcheck disable=SC2154 # the settings come from lib/settings.sh

# site_accepts STATUS: does [health] accept name it?
site_accepts() {
	case " ${HEALTH_ACCEPT:-} " in *" $1 "*) return 0 ;; esac
	return 1
}

# site_front: sets site_http and site_https, where people come in on this server: at a proxy of the stack, else at an edge. Fails
# where nothing is published.
site_front() {
	site_http=
	site_https=
	for site_id in $(proxies_running) $(for site_app in $APPS; do site_edge "$site_app"; done); do
		while read -r site_inside site_address; do
			case $site_address in
			'' | '['* | :*) continue ;;
			0.0.0.0:*) site_address=127.0.0.1:${site_address##*:} ;;
			esac
			case $site_inside in
			443/tcp | 8443/tcp) : "${site_https:=$site_address}" ;;
			80/tcp) site_http=$site_address ;;
			*/tcp) : "${site_http:=$site_address}" ;;
			esac
		done <<-PORTS
			$(docker port "$site_id" 9>&- 2>/dev/null | sed 's/ -> / /')
		PORTS
		[ -z "$site_http$site_https" ] || return 0
	done
	return 1
}

# site_edge APP: its edge's container, where the app speaks HTTP.
site_edge() {
	app_read "$RELEASE" "$1" && [ -n "$(app_http_ports)" ] && edge_container "$1"
}

# site_get URL: asks for it at the front. Sets site_status and site_location; the beginning of the page is in the run's state. Fails
# where nothing answers.
site_get() {
	site_head=$run_dir/state/site.head
	site_page=$run_dir/state/site.page
	: >"$site_head"
	if command -v curl >/dev/null 2>&1; then
		curl -s -k -g --max-time 5 -D "$site_head" -H 'User-Agent: estiba' --noproxy '*' \
			--connect-to "$site_host:80:${site_http:-127.0.0.1:80}" --connect-to "$site_host:443:${site_https:-127.0.0.1:443}" \
			"$1" 2>/dev/null | head -c 262144 >"$site_page"
	else
		# Without curl there is no TLS.
		case $1 in https://*) return 1 ;; esac
		site_path=${1#http://*/}
		http_fetch "http://$site_http/$site_path" "$site_host" 5 | head -c 262144 >"$site_page.whole"
		sed '/^\r*$/q' "$site_page.whole" >"$site_head"
		sed '1,/^\r*$/d' "$site_page.whole" >"$site_page"
	fi
	site_status=$(sed -n '1s/^HTTP[^ ]* *\([1-5][0-9][0-9]\).*/\1/p' "$site_head")
	site_location=$(sed -n 's/^[Ll]ocation: *//p' "$site_head" | tr -d '\r' | head -n 1)
	[ -n "$site_status" ]
}

# site_walk: from `/` to where it leads. Sets site_url, and site_end: the last status; `nothing` where nothing answers, `nowhere`
# where a redirect leads to what does not answer, or round and round, and `elsewhere` where it leads to another host.
site_walk() {
	site_url=http://$site_host/
	[ -n "$site_http" ] || site_url=https://$site_host/
	site_end=nothing
	for _ in 1 2 3 4 5 6; do
		site_get "$site_url" || return 0
		site_end=$site_status
		case $site_status in 301 | 302 | 303 | 307 | 308) ;; *) return 0 ;; esac
		case $site_location in
		'') return 0 ;;
		http://* | https://*)
			site_authority=${site_location#*://}
			case ${site_authority%%[/?#]*} in
			"$site_host" | "$site_host:80" | "$site_host:443") site_url=$site_location ;;
			*) site_end=elsewhere && return 0 ;;
			esac
			;;
		//*) site_end=elsewhere && return 0 ;;
		/*) site_url=${site_url%%://*}://$site_host$site_location ;;
		*) site_url=$(site_base)/$site_location ;;
		esac
		site_end=nowhere
	done
}

# site_base: where relative addresses of the page begin. A host's name stays whole, whatever the page's own address holds behind it.
site_base() {
	base_rest=${site_url#*://}
	base_rest=${base_rest%%[?#]*}
	case $base_rest in
	*/*) printf '%s://%s\n' "${site_url%%://*}" "${base_rest%/*}" ;;
	*) printf '%s://%s\n' "${site_url%%://*}" "$base_rest" ;;
	esac
}

# site_look FILE: what stands there now, a line each: `page END`, then `file good|bad URL STATUS` for at most three that the page names.
site_look() {
	for site_app in $APPS; do
		! site_edge "$site_app" >/dev/null || break
	done
	app_read "$RELEASE" "$site_app" || return 1
	site_host=${app_host%%:*}
	site_front || return 1
	site_walk
	echo "page $site_end" >"$1"
	[ "$site_end" = 200 ] || return 0
	grep -oE '(href|src)="[^"<> ]+[.](css|js)([?][^"<> ]*)?"' "$site_page" | sed 's/^[a-z]*="//; s/"$//; s/&amp;/\&/g' | head -n 3 |
		while IFS= read -r site_named; do
			case $site_named in
			//*) continue ;;
			http://"$site_host"/* | https://"$site_host"/*) ;;
			*://*) continue ;;
			/*) site_named=${site_url%%://*}://$site_host$site_named ;;
			*) site_named=$(site_base)/$site_named ;;
			esac
			site_get "$site_named" || site_status=nothing
			case $site_status in
			2??) echo "file good $site_named $site_status" ;;
			*) echo "file bad $site_named $site_status" ;;
			esac
		done >>"$1"
}

# site_end_of FILE: its page's end.
site_end_of() {
	sed -n 's/^page //p' "$1" 2>/dev/null
}

# site_is_good FILE: does somebody who comes to `/` see a page, with its styles?
site_is_good() {
	case $(site_end_of "$1") in
	2?? | elsewhere) ;;
	*) site_accepts "$(site_end_of "$1")" || return 1 ;;
	esac
	! grep -q '^file bad' "$1" || grep -q '^file good' "$1"
}

# site_judge: is what people see now as good as it was? Fails where it is worse, or where a server's error or nobody answers them.
site_judge() {
	site_was=$run_dir/state/site.before
	site_is=$run_dir/state/site.after
	deadline_in 5
	while :; do
		site_look "$site_is" || { note 'the site publishes no port here, so / is not checked' && return 0; }
		! site_is_good "$site_is" || break
		[ "$(site_end_of "$site_is")" != "$(site_end_of "$site_was")" ] || break
		! past_deadline || break
		nap 0.5
	done
	site_now=$(site_end_of "$site_is")
	site_then=$(site_end_of "$site_was")
	if site_is_good "$site_is"; then
		! grep -q '^file bad' "$site_is" || tell "the page at / names $(sed -n 's/^file bad \([^ ]*\) .*/\1/p' "$site_is" | head -n 1), which is not there"
		note "/ answers $site_now, asked as a user does"
		return 0
	fi
	# Only a status can be meant.
	case $site_now in
	[1-5][0-9][0-9]) site_meant="; if that is meant: [health] accept = [$site_now]" ;;
	*) site_meant= ;;
	esac
	case $site_now in
	2??)
		site_bad=$(sed -n 's/^file bad \([^ ]*\) \(.*\)/\1 (\2)/p' "$site_is" | head -n 1)
		if grep -q '^file bad' "$site_was" 2>/dev/null && ! grep -q '^file good' "$site_was"; then
			tell "no style or script that the page at / names is there, as before: $site_bad"
			return 0
		fi
		fail "no style sheet or script linked from / can be loaded: $site_bad; let the proxy serve static files from the folder that holds them"
		;;
	"$site_then") tell "/ answers $site_now, as it did before" ;;
	5??) fail "the site's / answers $site_now (asked at $site_http, Host: $site_host)${site_then:+, and answered $site_then before}$site_meant" ;;
	nowhere)
		# Somebody in front of this server may answer there; the client looks from outside.
		if [ -n "$NONCE" ]; then tell "/ leads to $site_url, where nobody answers on this server" && return 0; fi
		fail "/ leads to $site_url, where nobody answers: publish that port, or, where something in front of this server answers there, name the site's address as the target's url"
		;;
	*)
		if [ -n "$site_then" ] && site_is_good "$site_was"; then
			fail "/ answered $site_then before, and now $site_now (asked at $site_http, Host: $site_host)$site_meant"
		else
			tell "/ answers $site_now, asked as a user does$site_meant"
		fi
		;;
	esac
}
