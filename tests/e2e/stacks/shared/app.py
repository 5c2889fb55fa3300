"""A small WSGI app: it says its version, and counts each POST in Redis."""

import os
import socket

VERSION = "1"


def redis(*words):
    """One command to Redis, and its answer, a number."""
    with socket.create_connection((os.environ.get("REDIS_HOST", "cache"), 6379), timeout=10) as connection:
        text = f"*{len(words)}\r\n" + "".join(f"${len(word)}\r\n{word}\r\n" for word in words)
        connection.sendall(text.encode())
        answer = connection.makefile().readline().strip()
    if answer[0] != ":":
        raise RuntimeError(answer)
    return answer[1:]


def application(environ, start_response):
    length = int(environ.get("CONTENT_LENGTH") or 0)
    environ["wsgi.input"].read(length)
    if environ["REQUEST_METHOD"] == "POST":
        status, body = "201 Created", redis("INCR", "rows")
    else:
        status, body = "200 OK", f"version {VERSION}"
    body = f"{body}\n".encode()
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
