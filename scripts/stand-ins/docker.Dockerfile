# Stands in for docker:27-cli.
FROM estiba-stand-in/debian:bookworm
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends docker.io \
 && rm -rf /var/lib/apt/lists/*
CMD ["sh"]
