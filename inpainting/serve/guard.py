"""Checks of every request, and headers of every answer: who may ask, how much may be sent, what a page may do.

Pages of other sites must not reach a server on this computer. Their requests carry an `Origin` that is not ours and are
refused. A site can also give its own name our address (DNS rebinding); then the `Host` is that name. A server that
listens to this computer alone knows the names of this computer and refuses others.
"""

from __future__ import annotations

import json
from urllib.parse import urlsplit

from inpainting.serve.uploads import TooLargeError

LOCAL = ("localhost", "127.0.0.1", "::1")
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Guard:
    """ASGI middleware: checks `Host` and `Origin`, adds `HEADERS`. local: the server is bound to this computer."""

    def __init__(self, app, local: bool):
        self._app, self._local = app, local

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return

        async def send_with_headers(message):
            if message["type"] == "http.response.start":
                added = [(name.lower().encode(), text.encode()) for name, text in HEADERS.items()]
                message = {**message, "headers": [*message.get("headers", ()), *added]}
            await send(message)

        reason = refusal(_headers(scope), self._local)
        if reason is None:
            await self._app(scope, receive, send_with_headers)
            return
        body = json.dumps({"error": reason}).encode()
        headers = [(b"content-type", b"application/json")]
        await send_with_headers({"type": "http.response.start", "status": 403, "headers": headers})
        await send_with_headers({"type": "http.response.body", "body": body})


def _headers(scope):
    """{name: text}; the values of a repeated header are joined, so that they equal no allowed value."""
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


def refusal(headers: dict[str, str], local: bool) -> str | None:
    """Why a request with these headers is refused; None if it is not."""
    host = headers.get("host", "")
    if local and _name(host) not in LOCAL:
        return "this server answers requests to localhost only"
    origin = headers.get("origin")
    if origin is not None and (not host or urlsplit(origin).netloc.lower() != host.lower()):
        return "requests from other sites are refused"
    if (
        headers.get("sec-fetch-site") == "cross-site"
        and headers.get("sec-fetch-mode") != "navigate"
    ):
        return "requests from other sites are refused"
    return None


def _name(host):
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def limited(receive, most: int, message: str):
    """An ASGI `receive` that raises TooLargeError once more than `most` bytes have come."""
    count = 0

    async def receive_some():
        nonlocal count
        event = await receive()
        count += len(event.get("body", b""))
        if count > most:
            raise TooLargeError(message)
        return event

    return receive_some
