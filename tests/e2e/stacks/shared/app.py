"""A small WSGI app: it says its version, and counts each POST in Redis.

/wait/N answers after N seconds, /stream/N says a line a second, /header says how long X-Long was, /talk is a WebSocket as far as
a proxy can tell: once it is open, it gives back what it gets.
"""

import base64
import hashlib
import os
import socket
import time

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


def answer(environ):
    """The status and the pieces of the answer."""
    _, kind, *rest = environ["PATH_INFO"].split("/")
    if environ["REQUEST_METHOD"] == "POST":
        return "201 Created", [redis("INCR", "rows")]
    if kind == "wait":
        time.sleep(int(rest[0]))
        return "200 OK", ["waited"]
    if kind == "stream":
        return "200 OK", lines(int(rest[0]))
    if kind == "talk":
        return talk(environ["gunicorn.socket"], environ["HTTP_SEC_WEBSOCKET_KEY"])
    if kind == "header":
        return "200 OK", [str(len(environ.get("HTTP_X_LONG", "")))]
    return "200 OK", [f"version {VERSION} of {os.environ.get('NAME', 'nobody')}"]


def talk(connection, key):
    accept = base64.b64encode(hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()).decode()
    head = f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    connection.setblocking(True)
    connection.sendall(head.encode())
    while heard := connection.recv(4096):
        connection.sendall(heard.strip() + f" of version {VERSION}\n".encode())
    return "200 OK", []


def lines(count):
    for number in range(count):
        yield f"line {number} of version {VERSION}"
        time.sleep(1)


def application(environ, start_response):
    length = int(environ.get("CONTENT_LENGTH") or 0)
    while length > 0:
        length -= len(environ["wsgi.input"].read(min(length, 65536))) or length
    status, pieces = answer(environ)
    start_response(status, [("Content-Type", "text/plain")])
    return (f"{piece}\n".encode() for piece in pieces)
