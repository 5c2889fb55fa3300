# A whole server in a container, for tests that reboot one, cut it off or fill it up: its own sshd, its own Docker.
ARG SUITE=bookworm
FROM estiba-stand-in/debian:$SUITE
# Since trixie the client is a package of its own.
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
      docker.io $(apt-cache show docker-cli >/dev/null 2>&1 && echo docker-cli) \
      openssh-server iptables curl procps \
 && rm -rf /var/lib/apt/lists/* /etc/ssh/ssh_host_* \
 && mkdir -p /run/sshd /root/.ssh /srv && chmod 0700 /root/.ssh
COPY docker-compose /usr/libexec/docker/cli-plugins/docker-compose
COPY server-entrypoint.sh /usr/local/sbin/server-entrypoint.sh
VOLUME /var/lib/docker
EXPOSE 22 80
CMD ["sh", "/usr/local/sbin/server-entrypoint.sh"]
