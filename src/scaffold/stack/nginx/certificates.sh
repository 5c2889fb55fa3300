#!/bin/sh
# Gets the site's certificate and renews it when a third of its time is left. Until the first one is there the site has a
# stand-in, which no browser trusts. What goes wrong is said here (estiba logs --service certificates) and tried again.
set -u
umask 077

# What nginx serves: key and chain in one file, so that both change in one moment.
site=/certificates/site.pem
# Another authority's certificate is another one, however long the one that is there is good for.
name=site-$(printf '%s' "$ACME_SERVER" | cksum | cut -d ' ' -f 1)
live=/certificates/letsencrypt/live/$name

say() {
	printf '%s\n' "$*"
}

# publish KEY CHAIN
publish() {
	cat "$1" "$2" >"$site.new" || return 1
	if cmp -s "$site.new" "$site"; then
		rm -f "$site.new"
	else
		mv "$site.new" "$site"
	fi
}

stand_in() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 \
		-subj '/CN=estiba stand-in' -keyout /tmp/key.pem -out /tmp/chain.pem 2>/dev/null &&
		publish /tmp/key.pem /tmp/chain.pem && rm -f /tmp/key.pem /tmp/chain.pem
}

# reaches DOMAIN: does that name lead to this nginx? A certificate authority counts each attempt that fails.
reaches() {
	word=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
	mkdir -p /acme/.well-known/acme-challenge && chmod -R a+rX /acme
	(umask 022 && printf '%s' "$word" >/acme/.well-known/acme-challenge/estiba)
	python3 -c '
import sys, urllib.request
url = "http://%s/.well-known/acme-challenge/estiba" % sys.argv[1]
try:
    answer = urllib.request.urlopen(url, timeout=5).read(100).decode()
except Exception as error:
    sys.exit("%s: %s" % (url, error))
sys.exit(None if answer == sys.argv[2] else "%s is answered by somebody else" % url)' "$1" "$word"
}

# obtain: a new certificate, or the one that is there where it is still good for long enough.
obtain() {
	set -- --non-interactive --agree-tos --keep-until-expiring --expand --webroot --webroot-path /acme --cert-name "$name" \
		--server "$ACME_SERVER" --config-dir /certificates/letsencrypt --work-dir /tmp/work --logs-dir /tmp/logs
	for domain in $SITE_DOMAINS; do set -- "$@" --domain "$domain"; done
	if [ -n "$ACME_EMAIL" ]; then set -- "$@" --email "$ACME_EMAIL"; else set -- "$@" --register-unsafely-without-email; fi
	# shellcheck disable=SC2086 # words, as the team wrote them
	(umask 022 && certbot certonly "$@" $CERTBOT_OPTIONS) || return 1
	publish "$live/privkey.pem" "$live/fullchain.pem"
}

[ -s "$site" ] || stand_in || say 'no stand-in certificate could be made'
waited=0
while :; do
	there=1
	for domain in $SITE_DOMAINS; do
		reaches "$domain" || there=
	done
	# A server may not reach itself by its own name; after ten minutes the authority is asked all the same.
	if [ -n "$there" ] || [ "$waited" -ge 600 ]; then
		waited=0
		if obtain; then
			pause=43200
		else
			pause=1800
			say "no certificate was obtained; the one that serves ends on $(openssl x509 -noout -enddate -in "$site" | sed 's/.*=//'). The next attempt is in half an hour"
		fi
	else
		pause=10
		waited=$((waited + 10))
	fi
	sleep "$pause" &
	wait $!
done
