# A bare server in a container: an SSH server, and nothing that a deploy needs.
ARG SUITE=bookworm
FROM estiba-stand-in/debian:$SUITE
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends openssh-server procps iproute2 cron sudo \
 && rm -rf /var/lib/apt/lists/* /etc/ssh/ssh_host_* \
 && mkdir -p /root/.ssh /srv /etc/init.d && chmod 0700 /root/.ssh
COPY bare-engine.sh /etc/init.d/docker
RUN chmod 0755 /etc/init.d/docker
VOLUME /var/lib/docker
EXPOSE 22 80
CMD ["sh", "-c", "[ -e /etc/ssh/ssh_host_ed25519_key ] || ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key; mkdir -p /run/sshd; /usr/sbin/sshd; ! command -v dockerd || service docker start; exec sleep infinity"]
