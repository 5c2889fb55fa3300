# Stands in for prom/prometheus.
FROM estiba-stand-in/debian:bookworm
# The same line for all of Prometheus' programs, so that it is run once.
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends prometheus prometheus-alertmanager \
    prometheus-node-exporter prometheus-blackbox-exporter prometheus-postgres-exporter prometheus-redis-exporter \
 && rm -rf /var/lib/apt/lists/* && mkdir -p /prometheus /alertmanager && chown nobody /prometheus /alertmanager \
 && for name in alertmanager node-exporter blackbox-exporter postgres-exporter redis-exporter; do \
      ln -s "prometheus-$name" "/usr/bin/$(echo "$name" | tr - _)"; \
    done
USER nobody
WORKDIR /prometheus
VOLUME /prometheus
EXPOSE 9090
ENTRYPOINT ["prometheus"]
CMD ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]
