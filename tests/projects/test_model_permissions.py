"""OpenAI's model permissions are the project's settings under another name."""

from __future__ import annotations

from typing import Any

import pytest

from apps.audit.models import AuditEvent
from apps.projects.models import Project
from tests.projects.conftest import Acme, refused

KIND = "project.model_permissions"


def settings_of(acme: Acme) -> dict[str, Any]:
    return Project.objects.get(pk=acme.project.pk).settings


def test_one_list_takes_the_others_place(acme: Acme):
    acme.owner.call("PATCH", acme.path, {"settings": {"default_model": "a"}})
    path = acme.path + "/model_permissions"
    assert acme.member.call("GET", path).json() == {"object": KIND, "mode": "deny_list", "model_ids": []}
    allowed = {"mode": "allow_list", "model_ids": ["a", "org/b"]}
    assert acme.owner.call("POST", path, allowed).json() == {"object": KIND, **allowed}
    assert settings_of(acme) == {"default_model": "a", "allowed_models": ["a", "org/b"]}
    denied = {"mode": "deny_list", "model_ids": ["c"]}
    assert acme.project_owner.call("PATCH", path, denied).json() == {"object": KIND, **denied}
    assert settings_of(acme) == {"default_model": "a", "denied_models": ["c"]}
    assert acme.owner.call("GET", path).json() == {"object": KIND, **denied}
    assert acme.owner.call("DELETE", path).json() == {"object": f"{KIND}.deleted", "deleted": True}
    assert settings_of(acme) == {"default_model": "a"}
    found = AuditEvent.objects.filter(project=acme.project.public_id).order_by("pk")
    assert [event.action for event in found] == ["project.updated"] * 4


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({}, "missing_required_parameter", "mode"),
        ({"mode": "allow_list"}, "missing_required_parameter", "model_ids"),
        ({"mode": "list", "model_ids": []}, "invalid_value", "mode"),
        ({"mode": "allow_list", "model_ids": "a"}, "invalid_value", "model_ids"),
        ({"mode": "allow_list", "model_ids": ["a"] * 501}, "invalid_value", "model_ids"),
        ({"mode": "allow_list", "model_ids": [], "odd": 1}, "unknown_parameter", "odd"),
    ],
)
def test_refusals_change_nothing(acme: Acme, body: Any, code: str, param: str):
    path = acme.path + "/model_permissions"
    assert refused(acme.owner.call("POST", path, body)) == (400, code, param)
    assert refused(acme.member.call("POST", path, {"mode": "deny_list", "model_ids": []}))[0] == 403
    assert refused(acme.member.call("DELETE", path))[0] == 403
    assert settings_of(acme) == {}
