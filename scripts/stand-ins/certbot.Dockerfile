# Stands in for certbot/certbot: the program, and what its image has besides, openssl and python3.
FROM estiba-stand-in/debian:bookworm
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends certbot openssl \
 && rm -rf /var/lib/apt/lists/*
ENTRYPOINT ["certbot"]
