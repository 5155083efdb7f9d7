"""WebSockets carry no preflight, so their Origin is checked before anything is said."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from apps.chat.http import Receive, Send
from apps.core.origins import is_allowed


async def refuse_foreign_origin(scope: dict[str, Any], receive: Receive, send: Send) -> bool:
    """Close the handshake of a page that may not call us (403); return whether it was closed."""
    headers = dict(scope["headers"])
    origin = headers.get(b"origin", b"").decode("latin-1")
    if not origin or urlsplit(origin).netloc == headers.get(b"host", b"").decode("latin-1") or is_allowed(origin):
        return False
    await receive()
    await send({"type": "websocket.close", "code": 4403})
    return True
