"""Calls through the views without the middlewares, for tests that make tens of thousands."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from django.test import RequestFactory
from django.urls import resolve

from apps.api_keys.authentication import SCOPE_PRINCIPAL
from apps.core.wall import widened
from apps.organizations.principal import Principal

_factory = RequestFactory()


class Reply(NamedTuple):
    status: int
    text: str

    @property
    def ok(self) -> bool:
        return self.status < 300

    def json(self) -> Any:
        return json.loads(self.text) if self.text else {}


def call(
    secret: str,
    method: str,
    path: str,
    body: Any = None,
    *,
    organization: str | None = None,
    known: Principal | None = None,
) -> Reply:
    """
    Make a request below /v1/ with a credential, in an organization if a token's default is not meant.

    `known`: who the credential was found to be, where nothing has changed since; the edge remembers it too.
    """
    headers = {"Authorization": f"Bearer {secret}", **({"OpenAI-Organization": organization} if organization else {})}
    text = "" if body is None else json.dumps(body)
    request = _factory.generic(method, f"/v1/{path}", text, content_type="application/json", headers=headers)
    if known is not None:
        request.scope = {SCOPE_PRINCIPAL: known}  # type: ignore[attr-defined]
    found = resolve(request.path)
    with widened("a new request"):
        response = found.func(request, *found.args, **found.kwargs)
    return Reply(response.status_code, response.render().content.decode())
