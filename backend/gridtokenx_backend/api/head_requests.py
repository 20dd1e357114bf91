"""HEAD for every GET (RFC 9110 §9.3.2), which Litestar leaves to each handler."""

from __future__ import annotations

from typing import cast

from litestar.types import ASGIApp, Message, Receive, Scope, Send


def with_head(app: ASGIApp) -> ASGIApp:
    """Return an application that answers HEAD as GET, with the same fields and no content."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("method") != "HEAD":
            await app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.body":
                message["body"] = b""
            await send(message)

        await app(cast(Scope, {**scope, "method": "GET"}), receive, send_head)

    return answer
