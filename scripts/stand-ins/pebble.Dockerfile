# Let's Encrypt's own small ACME server, for tests: certificates of twenty days, challenges by port 80.
FROM estiba-stand-in/debian:bookworm
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends pebble openssl \
 && rm -rf /var/lib/apt/lists/* && mkdir /pebble \
 && openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=acme-server -keyout /pebble/key.pem -out /pebble/cert.pem 2>/dev/null
COPY pebble.json /pebble/pebble.json
ENV PEBBLE_VA_NOSLEEP=1 PEBBLE_WFE_NONCEREJECT=0
CMD ["pebble", "-config", "/pebble/pebble.json", "-strict=false"]
