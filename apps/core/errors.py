"""
The one error family of the platform.

Domain code raises these; it knows no status codes. Each transport maps them: HTTP in
`apps.core.http.errors`, WebSocket by sending `payload()`.
"""

from __future__ import annotations

from typing import Any, ClassVar


class AppError(Exception):
    """
    Something the caller may be told.

    `message` is a sentence for a person, `code` a stable word for a program, `param` the
    parameter at fault, `details` facts that help to mend the call, `retry_after` seconds
    until it is worth trying again. `should_retry` tells the OpenAI SDKs what to do where
    their own rule would be wrong; None leaves it to them.
    """

    type: ClassVar[str] = "internal_error"
    code: str = "internal_error"
    should_retry: bool | None = None

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        details: dict[str, Any] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.param = param
        self.details = details
        self.retry_after = retry_after

    def payload(self, request_id: str | None = None) -> dict[str, Any]:
        """Return the contract's error object, without the `{"error": ...}` around it."""
        body: dict[str, Any] = {
            "message": self.message,
            "type": self.type,
            "code": self.code,
            "param": self.param,
            "request_id": request_id,
        }
        if self.details is not None:
            body["details"] = self.details
        return body


class BadRequest(AppError):
    type = "invalid_request_error"
    code = "invalid_value"
    should_retry = False


class PayloadTooLarge(BadRequest):
    code = "request_too_large"


class HeadersTooLarge(BadRequest):
    code = "headers_too_large"


class UnsupportedMediaType(BadRequest):
    code = "unsupported_media_type"


class MethodNotAllowed(BadRequest):
    code = "method_not_allowed"


class Unauthenticated(AppError):
    type = "auth_error"
    code = "invalid_api_key"
    should_retry = False


class Forbidden(AppError):
    type = "permission_error"
    code = "insufficient_permissions"
    should_retry = False


class NotFound(AppError):
    type = "not_found_error"
    code = "not_found"
    should_retry = False


class Conflict(AppError):
    type = "conflict_error"
    code = "conflict"
    should_retry = False


class Unprocessable(BadRequest):
    """A request that can be read, and contradicts an earlier one."""

    code = "unprocessable"


class Busy(Conflict):
    """Somebody else is at it; it will be over soon."""

    should_retry = True


class RateLimited(AppError):
    type = "rate_limit_error"
    code = "rate_limit_exceeded"


class InternalError(AppError):
    pass


class UpstreamFailed(AppError):
    """A provider did not answer as agreed. Its own words are never repeated."""

    type = "upstream_error"
    code = "upstream_error"


class ServiceUnavailable(AppError):
    type = "service_unavailable_error"
    code = "service_unavailable"


class UpstreamTimeout(AppError):
    type = "timeout_error"
    code = "upstream_timeout"


class UpstreamRefused(AppError):
    """A provider's 4xx about the request, passed on with its status and message."""

    type = "invalid_request_error"
    code = "provider_refused"
    should_retry = False

    def __init__(self, message: str, *, status: int, **kwargs: Any) -> None:
        super().__init__(message, **kwargs)
        self.status = status
