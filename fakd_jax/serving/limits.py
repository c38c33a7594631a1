"""What the service refuses: too many bytes, too many requests at once, strangers, other sites."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

HEADERS = {
    "content-security-policy": "default-src 'none'; img-src data: blob:; connect-src 'self'; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
"""Of every answer: nothing comes from elsewhere, nothing stays in the browser's cache."""


@dataclass(frozen=True)
class Limits:
    """What one server takes.

    Attributes:
      bytes: of one request.
      pixels: of one image.
      waiting: requests at once, the one that is computed included.
    """

    bytes: int = 32_000_000
    pixels: int = 25_000_000
    waiting: int = 32


class Guard:
    """Answers in place of an application where a request breaks a rule.

    In order: another site's page sent it (403), the token is missing or wrong (401), too many
    requests are being answered (503), or its body is too long (413), whatever length it declares.
    """

    def __init__(
        self, app: App, *, limits: Limits, hosts: frozenset[str], token: str | None
    ) -> None:
        """Guards an ASGI application.

        Args:
          app: the application.
          limits: see there.
          hosts: names and ports under which the server is reached; empty for any.
          token: that every request but `GET /health` needs, as `Authorization: Bearer TOKEN` or as
            `?token=TOKEN`; None for none.
        """
        self.app, self.limits, self.hosts, self.token = app, limits, hosts, token
        self._answering = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {
            key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]
        }
        sends = _with_headers(send)
        if problem := self._problem(scope, headers):
            await _refuse(sends, *problem)
            return
        if scope["method"] == "POST" and self._answering >= self.limits.waiting:
            await _refuse(sends, 503, "too many requests at once; try again in some seconds")
            return
        self._answering += 1
        try:
            body = await self._body(receive)
            if body is None:
                most = f"{self.limits.bytes / 1e6:g} MB"
                await _refuse(sends, 413, f"the request has more than {most}; send a smaller file")
                return
            await self.app(scope, _replay(body, receive), sends)
        finally:
            self._answering -= 1

    def _problem(self, scope: Scope, headers: MutableMapping[str, str]) -> tuple[int, str] | None:
        if self.hosts and headers.get("host", "") not in self.hosts:
            return 403, "this server is reached under another name"
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2] != headers.get("host"):
            return 403, "requests from other sites' pages are refused"
        if self.token is None or scope["path"] == "/health":
            return None
        given = headers.get("authorization", "").removeprefix("Bearer ")
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [given])[-1]
        # Compared as bytes in constant time.
        if not secrets.compare_digest(given.encode(), self.token.encode()):
            return 401, "the token is missing or wrong"
        return None

    async def _body(self, receive: Receive) -> bytes | None:
        """The whole body; None as soon as it is too long."""
        parts, size, more = [], 0, True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                break  # the sender has gone
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self.limits.bytes:
                return None
            more = message.get("more_body", False)
        return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Gives a body that was read already, and then what follows it."""
    sent = False

    async def again() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _with_headers(send: Send) -> Send:
    async def sends(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = [(key.encode(), value.encode()) for key, value in HEADERS.items()]
            message["headers"] = [*message.get("headers", []), *own]
        await send(message)

    return sends


async def _refuse(send: Send, status: int, why: str) -> None:
    import json

    body = json.dumps({"detail": why}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
