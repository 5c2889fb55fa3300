"""An app that speaks HTTP/2 without TLS, as gRPC servers do: it says which HTTP it was asked by, and its version."""

VERSION = "1"


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body = f"HTTP/{scope['http_version']}, version {VERSION}\n".encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": body})
