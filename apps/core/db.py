"""Database work from the event loop: a few threads of their own, a connection only while a call lasts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import connections

_P = ParamSpec("_P")
_T = TypeVar("_T")

# Few: these calls are cache misses and once-a-second looks, never part of a warm request.
_threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="jan-db")


async def in_db_thread(call: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Run `call` in a database thread and give its connection back before returning."""

    def run() -> _T:
        try:
            return call(*args, **kwargs)
        finally:
            connections.close_all()

    return await asyncio.get_running_loop().run_in_executor(_threads, run)
