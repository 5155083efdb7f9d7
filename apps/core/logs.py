"""
Structured logs that cannot give a secret away.

Everything, from our own code and from libraries, ends in one handler: the request id is
added, secrets are masked by name and by shape, control characters are escaped, and a line is
JSON or text as `LOG_FORMAT` says.
"""

from __future__ import annotations

import datetime
import re
import sys
from collections.abc import MutableMapping
from contextvars import ContextVar
from typing import Any

import msgspec
import structlog

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
# As far as our own proxies vouch for it.
client_address: ContextVar[str | None] = ContextVar("client_address", default=None)

MASK = "[redacted]"
_SECRET_NAMES = re.compile(
    r"authorization|cookie|api[-_]?key|secret|password|passwd|token|credential|pepper|private[-_]?key|dsn", re.I
)
_HARMLESS_NAMES = frozenset({"prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens", "total_tokens"})
_SECRET_SHAPES = re.compile(
    r"\b(?:sk|jan_(?:pk|ak|ok|sa|ek))_[0-9A-Za-z]{8,}"  # our keys
    r"|\bsk-[0-9A-Za-z_-]{8,}"  # providers' keys
    r"|\beyJ[\w-]{10,}[\w.-]*"  # JSON web tokens, cut short too
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"  # user:password in a URL
    r"|(?i:(?<=bearer )[\w.~+/=-]{8,})"
    # What mails link to: whoever has the link may set a password, prove an address, join.
    r"|(?:(?<=/accounts/password/reset/key/)|(?<=/accounts/confirm-email/)|(?<=/accounts/invitation/))\S+"
    r"|(?<=[?&]token=)[^&\s]+"
    # Whoever has the link may read what was shared.
    r"|(?:(?<=/share/)|(?<=/public/shares/))[^/\s]+"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x80-\x9f\u2028\u2029]")


def redact(text: str) -> str:
    """Return `text` with everything that has a secret's shape masked."""
    return _SECRET_SHAPES.sub(MASK, text)


def _clean(name: str, value: Any) -> Any:
    if name not in _HARMLESS_NAMES and _SECRET_NAMES.search(name) and value is not None:
        return MASK
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {key: _clean(str(key), item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(name, item) for item in value]
    return value if isinstance(value, (int, float, bool, type(None))) else redact(str(value))


def mask_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask by field name and by shape, at every depth."""
    return {name: _clean(name, value) for name, value in event.items()}


def add_request_id(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    current = request_id.get()
    if current is not None:
        event.setdefault("request_id", current)
    return event


def escape_control(_logger: Any, _method: str, line: str) -> str:
    """One event, one line: a newline in a value must not look like another event."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found.group()):02x}", line.replace("\n", "\\n"))


def _render_text(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    stamp, level, message = event.pop("timestamp", ""), event.pop("level", ""), event.pop("event", "")
    name, trace = event.pop("logger", ""), event.pop("exception", None)
    facts = " ".join(f"{key}={value}" for key, value in event.items())
    line = f"{stamp} {level.upper():<7} {name}: {message} {facts}".rstrip()
    return f"{line} {trace}" if trace else line


def logging_config(*, level: str, log_format: str) -> dict[str, Any]:
    """Return the `LOGGING` dictionary. `level`: debug, info, warn, error. `log_format`: json or text."""
    shared: list[Any] = [
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        add_request_id,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared[:3],
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    renderer: Any = structlog.processors.JSONRenderer() if log_format == "json" else _render_text
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "structured": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": shared,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.format_exc_info,
                    add_request_id,
                    mask_secrets,
                    renderer,
                    escape_control,
                ],
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "structured"}},
        "root": {"handlers": ["stderr"], "level": {"WARN": "WARNING"}.get(level.upper(), level.upper())},
        "loggers": {
            "django": {"level": "INFO"},
            # Scanners make these up all day; the access log has them.
            "django.security.DisallowedHost": {"level": "CRITICAL"},
            "django.server": {"handlers": [], "propagate": True},
            # Below INFO the server writes out WebSocket frames, which are people's words.
            "uvicorn": {"handlers": [], "propagate": True, "level": "INFO"},
            "celery": {"level": "WARNING"},
            "uvicorn.access": {"level": "WARNING"},
            "aiohttp.access": {"level": "WARNING"},
            "asyncio": {"level": "WARNING"},
        },
    }


class AccessLog:
    """
    One line per request, in the form of every other line, without the machinery behind them.

    The logger's pipeline costs 100 us a line, a third of a whole model call. Everything in these
    lines is ours or already checked, but for the path, which is masked like any text.
    """

    def __init__(self, log_format: str) -> None:
        self._is_json = log_format == "json"

    def write(self, path: str, facts: dict[str, Any]) -> None:
        """Write a request's line. `facts` hold no text a client chose."""
        stamp = datetime.datetime.now(datetime.UTC).isoformat().replace("+00:00", "Z")
        path = _CONTROL.sub("?", redact(path).replace("\n", "?"))
        if self._is_json:
            head = {"timestamp": stamp, "level": "info", "logger": "jan.access", "event": "request"}
            line = msgspec.json.encode({**head, **facts, "path": path}).decode()
        else:
            words = " ".join(f"{name}={value}" for name, value in facts.items())
            line = f"{stamp} INFO    jan.access: request {words} path={path}"
        sys.stderr.write(line + "\n")
