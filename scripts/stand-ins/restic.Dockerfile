# Stands in for restic/restic.
FROM estiba-stand-in/debian:bookworm
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends restic openssh-client \
 && rm -rf /var/lib/apt/lists/*
ENTRYPOINT ["/usr/bin/restic"]
