"""What a process knows of its own life: started, serving, draining."""

from __future__ import annotations

import datetime

STARTED_AT = datetime.datetime.now(datetime.UTC)


class Lifecycle:
    """`draining` is set at the first SIGTERM: readiness fails and new requests are refused from then on."""

    def __init__(self) -> None:
        self.draining = False


lifecycle = Lifecycle()
