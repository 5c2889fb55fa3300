"""gunicorn's settings; each can be set by the environment variable named beside it."""

import os

bind = "0.0.0.0:8000"
worker_class = "gthread"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
threads = int(os.environ.get("WEB_THREADS", "8"))
# Longer than nginx keeps an idle connection to this server, so that it is nginx that closes it.
keepalive = 75
timeout = 60
graceful_timeout = 30
worker_tmp_dir = "/dev/shm"
accesslog = None
