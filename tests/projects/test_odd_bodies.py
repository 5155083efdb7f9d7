"""Whatever is sent, the answer is one of ours: never a 500, and nothing is written but by what is allowed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.core.errors import BadRequest
from apps.organizations.roles import Scope
from apps.projects.models import Project, ProjectMembership, ServiceAccount
from apps.projects.project_settings import ProjectSettings, checked_settings
from tests.projects.conftest import PROJECTS, Acme

NAMES = ["name", "description", "settings", "role", "user_id", "email", "mode", "model_ids", "scopes", "expires_in_seconds",
         "create_service_account_only", *ProjectSettings.__struct_fields__]  # fmt: skip
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(["owner", "viewer", "allow_list", "x" * 2000, "\u202e", "a@b.example", *Scope])
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
BODIES = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=4) | VALUES
RAW = [b"", b"{", b"null", b"[]", b'"x"', b'{"name": "\\u0000"}', b'{"name": "\\ud800"}', b"\xff", b"[" * 200, b'{"a":1,"a":2}',
       b'{"name":' + b"9" * 5000 + b"}", b'{"settings": {"retention_days": 1e400}}']  # fmt: skip


def paths(acme: Acme) -> list[tuple[str, str]]:
    account = ServiceAccount.objects.create(organization=acme.organization, project=acme.project, name="jobs")
    user, accounts = f"{acme.path}/users/{acme.member.user.pk}", f"{acme.path}/service_accounts"
    return [
        ("POST", PROJECTS), ("POST", acme.path), ("PATCH", acme.path), ("POST", acme.path + "/model_permissions"),
        ("POST", acme.path + "/users"), ("POST", user), ("PATCH", user), ("POST", accounts),
        ("POST", f"{accounts}/{account.public_id}"), ("POST", f"{accounts}/{account.public_id}/api_keys"),
    ]  # fmt: skip


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=BODIES)
def test_no_body_breaks_a_route(acme: Acme, body: Any):
    for method, path in paths(acme):
        answer = acme.owner.call(method, path, body)
        assert answer.status_code in (200, 400, 403, 404, 409), (method, path, body, answer.content)
        if answer.status_code != 200:
            assert set(answer.json()["error"]) >= {"message", "type", "code", "param", "request_id"}


@pytest.mark.parametrize("raw", RAW)
def test_no_bytes_break_a_route(acme: Acme, raw: bytes):
    def rows() -> Any:
        models = (Project, ProjectMembership, ServiceAccount)
        return [list(model.objects.order_by("pk").values()) for model in models]

    tried = paths(acme)
    before = rows()
    for method, path in tried:
        status = acme.owner.call(method, path, raw).status_code
        makes_something = raw == b"" and (path == acme.path or "service_accounts/" in path)
        assert status == (200 if makes_something else 400), (method, path)
    assert rows() == before


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=x", "after=%00", "after=proj_x", "order=up", "offset=-1", "status=%00", "after=a&offset=1"],
)
@pytest.mark.parametrize("tail", ["", "/users", "/service_accounts"])
def test_bad_cursors_are_named(acme: Acme, query: str, tail: str):
    if query.startswith("status") and tail:
        return
    answer = acme.owner.call("GET", f"{acme.path}{tail}?{query}" if tail else f"{PROJECTS}?{query}")
    named = "offset" if "&" in query else query.partition("=")[0]
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, named)


def param_at_fault(given: Any) -> str | None:
    """What is refused of these settings; None if they are taken as they are."""
    try:
        taken = checked_settings(given)
    except BadRequest as refusal:
        return refusal.param
    return None if taken is given else "settings changed on the way"


@settings(max_examples=300, deadline=None)
@given(values=st.dictionaries(st.sampled_from(list(ProjectSettings.__struct_fields__)), VALUES, max_size=3))
def test_settings_are_taken_whole_or_refused_by_name(values: Any):
    param = param_at_fault(values)
    assert param is None or param.removeprefix("settings.").partition("[")[0] in values
