"""Errors on HTTP: one table from the error family to status codes, one shape on the wire."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
from django.conf import settings
from django.core.exceptions import BadRequest as UnreadableRequest
from django.core.exceptions import DisallowedHost, PermissionDenied, SuspiciousOperation, TooManyFieldsSent
from django.http import Http404, HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from rest_framework import exceptions as drf
from rest_framework.response import Response

from apps.core import errors, logs
from apps.core.errors import AppError, UpstreamRefused

log = logging.getLogger("jan.errors")

STATUS: dict[type[AppError], int] = {
    AppError: 500,
    errors.BadRequest: 400,
    errors.PayloadTooLarge: 413,
    errors.HeadersTooLarge: 431,
    errors.UnsupportedMediaType: 415,
    errors.MethodNotAllowed: 405,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Unprocessable: 422,
    errors.RateLimited: 429,
    errors.UpstreamFailed: 502,
    errors.ServiceUnavailable: 503,
    errors.UpstreamTimeout: 504,
}

# What Django says of requests that it does not read.
_UNREADABLE = (SuspiciousOperation, UnreadableRequest, MultiPartParserError)


def status_of(error: AppError) -> int:
    """Return the HTTP status of an error."""
    if isinstance(error, UpstreamRefused):
        return error.status
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def headers_of(error: AppError) -> dict[str, str]:
    """Return what the answer's headers say about the error, names in lower case."""
    headers: dict[str, str] = {}
    if isinstance(error, errors.Unauthenticated):
        headers["www-authenticate"] = "Bearer"
    if error.retry_after is not None:
        headers["retry-after"] = str(max(1, round(error.retry_after)))
    if error.should_retry is not None:
        headers["x-should-retry"] = "true" if error.should_retry else "false"
    return headers


def body_of(error: AppError) -> bytes:
    """Return the JSON body of an error, with the id of the request being served."""
    return msgspec.json.encode({"error": error.payload(logs.request_id.get())})


def response_of(error: AppError) -> HttpResponse:
    """Return a Django response for views outside DRF."""
    return HttpResponse(
        body_of(error), status=status_of(error), content_type="application/json", headers=headers_of(error)
    )


def unexpected(problem: BaseException) -> errors.InternalError:
    """Log a bug with its trace and return what the caller may be told of it."""
    log.error("unexpected error", exc_info=problem)
    return errors.InternalError("The server failed to handle the request. The request id finds the reason in its log.")


def unreadable(problem: BaseException) -> errors.BadRequest:
    """Return what the caller may be told of a request that Django does not read. Its words name our settings."""
    if isinstance(problem, DisallowedHost):
        return errors.BadRequest("The Host header does not name this server.", code="invalid_host")
    if isinstance(problem, TooManyFieldsSent):
        limit = settings.DATA_UPLOAD_MAX_NUMBER_FIELDS
        return errors.BadRequest(f"A request may have {limit} parameters at most.", code="too_many_parameters")
    return errors.BadRequest("The request cannot be read.")


def exception_handler(problem: Exception, context: dict[str, Any]) -> Response:
    """DRF's exception handler: whatever a view raises leaves in the contract's shape."""
    error = problem if isinstance(problem, AppError) else _translate(problem)
    body = {"error": error.payload(logs.request_id.get())}
    return Response(body, status=status_of(error), headers=headers_of(error))


def _translate(problem: Exception) -> AppError:
    if isinstance(problem, drf.ValidationError):
        return _invalid(problem.detail)
    if isinstance(problem, (Http404, drf.NotFound)):
        return errors.NotFound("There is no such object.")
    if isinstance(problem, (PermissionDenied, drf.PermissionDenied)):
        return errors.Forbidden("You may not do this.")
    if isinstance(problem, (drf.NotAuthenticated, drf.AuthenticationFailed)):
        return errors.Unauthenticated("A valid credential is needed.")
    if isinstance(problem, drf.MethodNotAllowed):
        return errors.MethodNotAllowed(f"This path does not take {problem.args[0] if problem.args else 'the method'}.")
    if isinstance(problem, drf.UnsupportedMediaType):
        return errors.UnsupportedMediaType("The body must be JSON: send 'Content-Type: application/json'.")
    if isinstance(problem, drf.APIException) and problem.status_code < 500:
        return errors.BadRequest(str(problem.detail))
    return unreadable(problem) if isinstance(problem, _UNREADABLE) else unexpected(problem)


def _invalid(detail: Any, path: str = "") -> errors.BadRequest:
    """Name the first parameter at fault."""
    if isinstance(detail, dict):
        name, inner = next(iter(detail.items()))
        where = path if name == "non_field_errors" else f"{path}.{name}" if path else str(name)
        return _invalid(inner, where)
    if isinstance(detail, list):
        at, first = next(((i, item) for i, item in enumerate(detail) if item), (0, "Invalid."))
        return _invalid(first, f"{path}[{at}]" if isinstance(first, dict) else path)
    code = {"required": "missing_required_parameter", "unknown": "unknown_parameter"}.get(
        getattr(detail, "code", ""), "invalid_value"
    )
    return errors.BadRequest(str(detail), code=code, param=path or None)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's 404 handler."""
    return response_of(errors.NotFound(f"There is nothing at {request.path}.", code="unknown_url"))


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's 500 handler. Django has logged the trace."""
    return response_of(
        errors.InternalError("The server failed to handle the request. The request id finds the reason in its log.")
    )
