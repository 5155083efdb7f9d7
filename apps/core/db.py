"""Database work from the event loop: a few threads of their own, a connection only while a call lasts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import connections

_P = ParamSpec("_P")
_T = TypeVar("_T")

# Few: these calls are cache misses and once-a-second looks, part of a warm request only under an Idempotency-Key.
_threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="jan-db")
# For calls that may ask another server too: its bad hour must not hold up what everybody needs.
_patient_threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="jan-db-patient")


async def in_db_thread(call: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Run `call` in a database thread and give its connection back before returning."""
    return await _run_in(_threads, lambda: call(*args, **kwargs))


async def in_patient_db_thread(call: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """As `in_db_thread`, for a call that may wait for another server."""
    return await _run_in(_patient_threads, lambda: call(*args, **kwargs))


async def _run_in(threads: ThreadPoolExecutor, call: Callable[[], _T]) -> _T:
    def run() -> _T:
        try:
            return call()
        finally:
            connections.close_all()

    return await asyncio.get_running_loop().run_in_executor(threads, run)
