"""
What happens in a conversation, told while it happens: `/ws/v1/conversations/{id}`.

The socket only tells. After `{"type": "ready"}` each event is a frame with its `type` and `conversation_id`, and
with what it is about as the API gives it; something too big for a frame is named by its id and null. Who
may not see the conversation any more is told why and closed within seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from channels.exceptions import StopConsumer
from django.db import Error as DatabaseError

from apps.api_keys.sockets import CallerSocket
from apps.conversations.happenings import Happening, group_of
from apps.conversations.live import frames_of, key_of
from apps.conversations.services import not_found
from apps.core.db import in_db_thread
from apps.core.errors import AppError, RateLimited, ServiceUnavailable
from apps.core.http.moments import asking
from apps.organizations.principal import Principal
from apps.organizations.roles import Scope

_P = ParamSpec("_P")
_T = TypeVar("_T")

# In each process.
MAX_PER_CALLER = 50
CHECK_SECONDS = 2.0
# A client that does not read for so long is dropped; it reads the conversation again when it comes back.
SEND_SECONDS = 10.0
# Below the day after which Redis forgets who is in a group.
MAX_SECONDS = 12 * 3600.0
TIME_IS_UP = 4408

_open: Counter[str] = Counter()


class ConversationConsumer(CallerSocket):
    """Tells one caller of one conversation."""

    async def __call__(self, *args: Any) -> None:
        self._group: str | None = None
        self._held_for: str | None = None
        self._watching: asyncio.Task[None] | None = None
        self._is_over = False
        try:
            await super().__call__(*args)
        finally:
            await self._leave()

    async def connect(self) -> None:
        self._public_id: str = self.scope["url_route"]["kwargs"]["conversation_id"]
        self._request = asking(self.scope["query_string"])
        await super().connect()

    async def welcome(self, principal: Principal) -> None:
        self._hold(principal)
        principal.require(Scope.CONVERSATIONS_READ)
        key = await _read(key_of, principal, self._public_id)
        if key is None:
            raise not_found()
        self._principal = principal
        self._group = group_of(key)
        await self.channel_layer.group_add(self._group, self.channel_name)
        self._watching = asyncio.create_task(self._watch())

    async def conversation_happened(self, event: dict[str, Any]) -> None:
        """Tell what happened, as far as the caller may see it now."""
        try:
            principal = await self._admitted()
            frames = await _read(
                frames_of, self._request, principal, self._public_id, event["happening"], event["items"]
            )
        except ServiceUnavailable:
            return
        except AppError as error:
            await self._end(error)
            return
        if frames is None:
            await self._gone()
            return
        for frame in frames:
            await self._push(frame.decode())

    def _hold(self, principal: Principal) -> None:
        if _open[principal.user_id] >= MAX_PER_CALLER:
            raise RateLimited(
                f"You may have {MAX_PER_CALLER} conversations open at once. Close some.", code="too_many_sockets"
            )
        _open[principal.user_id] += 1
        self._held_for = principal.user_id

    async def _admitted(self) -> Principal:
        """Return who is calling now. Raises what `caller` does, and Forbidden."""
        principal = await self.caller()
        principal.require(Scope.CONVERSATIONS_READ)
        return principal

    async def _watch(self) -> None:
        """Close the socket when its caller may not see the conversation any more, even if nothing happens in it."""
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + MAX_SECONDS
        with contextlib.suppress(OSError, StopConsumer):  # the client left
            while not self._is_over:
                await asyncio.sleep(CHECK_SECONDS)
                await self._check()
                if loop.time() > ends_at:
                    await self.close(TIME_IS_UP)
                    return

    async def _check(self) -> None:
        try:
            principal = await self._admitted()
            if principal != self._principal and await _read(key_of, principal, self._public_id) is None:
                await self._gone()
            self._principal = principal
        except ServiceUnavailable:
            pass  # asked again soon
        except AppError as error:
            await self._end(error)

    async def _gone(self) -> None:
        frame = f'{{"type":"{Happening.DELETED}","conversation_id":"{self._public_id}"}}'
        await self._push(frame)
        await self._end(not_found())

    async def _end(self, error: AppError) -> None:
        if not self._is_over:
            self._is_over = True
            await self._in_time(self.refuse(error))

    async def _push(self, frame: str) -> None:
        if not self._is_over:
            await self._in_time(self.send(text_data=frame))

    @staticmethod
    async def _in_time(sending: Any) -> None:
        try:
            await asyncio.wait_for(sending, SEND_SECONDS)
        except TimeoutError:
            raise StopConsumer from None

    async def _leave(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
        if self._held_for is not None:
            _open[self._held_for] -= 1
            if not _open[self._held_for]:
                del _open[self._held_for]
        if self._group is not None:
            await self.channel_layer.group_discard(self._group, self.channel_name)


async def _read(call: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    try:
        return await in_db_thread(call, *args, **kwargs)
    except DatabaseError:
        raise ServiceUnavailable("The conversation cannot be read right now. Try again.", retry_after=1) from None
