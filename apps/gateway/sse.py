"""Server-sent events from a provider, read by the letter of the standard and written in one form."""

from __future__ import annotations

from apps.core.errors import UpstreamFailed

# An event may carry an image; a provider that sends more in one is broken or hostile.
MAX_EVENT_BYTES = 16 * 1024 * 1024


class EventReader:
    """
    Cuts a byte stream into the payloads of its events.

    Comments, `id:`, `retry:` and `event:` lines are dropped; several `data:` lines of one
    event are joined.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._after_cr = False

    def feed(self, data: bytes) -> list[bytes]:
        """Return the payloads completed by `data`. Raises UpstreamFailed for an event without end."""
        if self._after_cr or b"\r" in data:
            data = self._newlines(data)
        if self._rest:
            data = self._rest + data
        elif data.startswith(b"data: ") and data.find(b"\n") == len(data) - 2 and data.endswith(b"\n\n"):
            return [data[6:-2]] if len(data) > 8 else []  # one whole event in one read, as nearly always
        head, separator, self._rest = data.rpartition(b"\n\n")
        if len(self._rest) > MAX_EVENT_BYTES:
            raise UpstreamFailed("The provider sent an event that is too large.")
        if not separator:
            return []
        payloads = []
        for block in head.split(b"\n\n"):
            if payload := block[6:] if block.startswith(b"data: ") and b"\n" not in block else _payload(block):
                payloads.append(payload)
        return payloads

    def _newlines(self, data: bytes) -> bytes:
        """Turn CRLF and CR into LF, also when a read ends between the two."""
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]
        self._after_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    @property
    def is_between_events(self) -> bool:
        """Whether everything read so far belonged to whole events."""
        return not self._rest.strip()


def _payload(block: bytes) -> bytes:
    lines = []
    for line in block.split(b"\n"):
        if line.startswith(b"data:"):
            lines.append(line[6:] if line.startswith(b"data: ") else line[5:])
    # The standard joins with newlines, which mean nothing between JSON's tokens and would cut what we write.
    return b" ".join(lines)


def write_events(payloads: list[bytes]) -> bytes:
    """Return the payloads as events, one `data:` line each."""
    return b"data: %b\n\n" % b"\n\ndata: ".join(payloads)
