# Stands in for redis:7.
FROM estiba-stand-in/debian:bookworm
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends redis-server \
 && rm -rf /var/lib/apt/lists/* && mkdir -p /data && chown redis:redis /data
COPY redis-server.sh /usr/local/bin/redis-server
VOLUME /data
WORKDIR /data
EXPOSE 6379
ENTRYPOINT ["setpriv", "--reuid=redis", "--regid=redis", "--init-groups"]
CMD ["redis-server"]
