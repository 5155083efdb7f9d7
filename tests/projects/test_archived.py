"""An archived project can only be read: on every route, and below them in every service that writes into one."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.forms.models import model_to_dict
from django.utils import timezone

from apps.api_keys import service_accounts
from apps.api_keys.models import ApiKey
from apps.api_keys.services import Giver, Holder, create_key, rotate_key
from apps.api_keys.tokens import KeyKind
from apps.audit.models import AuditEvent
from apps.audit.services import SYSTEM
from apps.core.errors import Conflict
from apps.organizations.roles import ALL, ProjectRole
from apps.projects import members, project_services
from apps.projects.models import Project, ProjectMembership, ServiceAccount
from tests.api_keys.conftest import Caller
from tests.architecture.test_guards import api_views
from tests.projects.conftest import Acme, refused

# What brings an archived project back or ends it.
STILL_WORK = {
    ("POST", "projects/<str:project_id>/archive"),
    ("POST", "projects/<str:project_id>/unarchive"),
    ("DELETE", "projects/<str:project_id>"),
}
# A body where one is read before the project is locked.
BODIES = {"model_permissions": {"mode": "deny_list", "model_ids": []}}


def routes(*methods: str) -> list[tuple[str, str]]:
    """Every method of every route with a project in its path."""
    found = []
    for path, view in api_views().items():
        if view.__module__.startswith("apps.conversations."):
            continue  # a person's folder goes by the same name
        tail = path.removeprefix("v1/").removeprefix("organization/")
        if not path.startswith("v1/") or "<str:project_id>" not in path or "<org:org_id>" in path:
            continue
        found += [
            (method, path) for method in methods if hasattr(view, method.lower()) and (method, tail) not in STILL_WORK
        ]
    return found


class Archived:
    """Acme's project with something of everything in it, archived."""

    def __init__(self, acme: Acme) -> None:
        self.acme, self.project = acme, acme.project
        giver = Giver(ALL)
        self.account, self.account_key, self.secret = service_accounts.create_account_with_key(
            project=acme.project, name="jobs", role="member", creator=None, giver=giver, actor=SYSTEM, expires_at=None
        )
        self.key = acme.owner.with_key(kind=KeyKind.PROJECT, project=acme.project)
        self.place = ProjectMembership.objects.get(project=acme.project, membership=acme.membership(acme.member))
        project_services.archive_project(project=acme.project, actor=SYSTEM)
        self.project.refresh_from_db()

    def state(self) -> Any:
        rows = [
            *Project.objects.filter(pk=self.project.pk),
            *ProjectMembership.objects.filter(project=self.project).order_by("pk"),
            *ServiceAccount.objects.filter(project=self.project).order_by("pk"),
            *ApiKey.objects.filter(project=self.project).order_by("pk"),
        ]
        return [model_to_dict(row) for row in rows], AuditEvent.objects.count()

    def path(self, pattern: str) -> str:
        ids = {
            "project_id": self.project.public_id,
            "user_id": self.acme.member.user.pk,
            "service_account_id": self.account.public_id,
            "key_id": self.key.key.public_id if self.key.key else "",
        }
        return "/" + re.sub(r"<str:(\w+)>", lambda part: ids.get(part[1], "unknown"), pattern)


@pytest.fixture
def archived(acme: Acme) -> Archived:
    return Archived(acme)


def test_there_are_routes_to_try():
    assert len(routes("POST", "PUT", "PATCH", "DELETE")) >= 15
    assert len(routes("GET")) >= 6


@pytest.mark.parametrize(("method", "pattern"), routes("POST", "PUT", "PATCH", "DELETE"))
def test_no_route_changes_an_archived_project(archived: Archived, method: str, pattern: str):
    before = archived.state()
    body = BODIES.get(pattern.rpartition("/")[2], {}) if method != "DELETE" else None
    for caller in (archived.acme.owner, archived.acme.project_owner, archived.acme.admin_key()):
        before = archived.state()
        status, code, _ = refused(caller.call(method, archived.path(pattern), body))
        assert (status in (403, 409), code) == (True, "project_archived")
        assert archived.state() == before


@pytest.mark.parametrize(("method", "pattern"), routes("GET"))
def test_every_route_that_reads_still_works(archived: Archived, method: str, pattern: str):
    answer = archived.acme.owner.call(method, archived.path(pattern))
    assert answer.status_code == (404 if "unknown" in archived.path(pattern) else 200), answer.content


def write_services() -> dict[str, Callable[[Archived], Any]]:
    """Every service that writes into a project, as somebody calls it who read the project a moment too early."""
    giver = Giver(ALL)
    people: dict[str, Any] = {"giver": ALL, "actor": SYSTEM}
    accounts: dict[str, Any] = {"giver": giver, "actor": SYSTEM}
    owner, viewer = ProjectRole.OWNER, ProjectRole.VIEWER
    return {
        "update_project": lambda a: project_services.update_project(project=a.project, actor=SYSTEM, name="x"),
        "add_member": lambda a: members.add_member(
            project=a.project, membership=a.acme.membership(a.acme.outsider), role=owner, **people
        ),
        "change_member": lambda a: members.change_member(place=a.place, role=viewer, **people),
        "remove_member": lambda a: members.remove_member(place=a.place, **people),
        "create_service_account": lambda a: service_accounts.create_service_account(
            project=a.project, name="x", role="member", creator=None, **accounts
        ),
        "update_service_account": lambda a: service_accounts.update_service_account(
            account=a.account, name="x", **accounts
        ),
        "delete_service_account": lambda a: service_accounts.delete_service_account(account=a.account, **accounts),
        "create_account_key": lambda a: service_accounts.create_account_key(account=a.account, name="x", **accounts),
        "create_key": lambda a: create_key(
            kind=KeyKind.PROJECT, name="x", place=a.project, holder=Holder(a.acme.owner.user), giver=giver
        ),
        "rotate_key": lambda a: rotate_key(key=a.account_key, actor=SYSTEM),
    }


@pytest.mark.parametrize("name", write_services())
def test_no_service_writes_into_an_archived_project(archived: Archived, name: str):
    before = archived.state()
    with pytest.raises(Conflict) as refusal:
        write_services()[name](archived)
    assert refusal.value.code == "project_archived"
    assert archived.state() == before


def test_its_keys_are_neither_made_nor_rotated_from_elsewhere(archived: Archived):
    acme, before = archived.acme, archived.state()
    in_it = {"OpenAI_Project": archived.project.public_id}
    assert refused(acme.owner.call("POST", "/v1/auth/api-keys", {"name": "x"}, **in_it))[:2] == (
        403,
        "project_archived",
    )
    for secret in (archived.secret, archived.key.secret):
        caller = Caller(acme.owner.user, secret)
        assert refused(caller.call("POST", "/v1/auth/api-keys", {"name": "x", "kind": "project"}))[:2] == (
            403, "project_archived",
        )  # fmt: skip
        assert caller.call("GET", "/v1/models").status_code == 200
    assert archived.state() == before
    Project.objects.filter(pk=archived.project.pk).update(archived_at=None)
    personal = acme.owner.with_key(project=archived.project)
    Project.objects.filter(pk=archived.project.pk).update(archived_at=timezone.now())
    assert personal.key is not None
    answer = acme.owner.call("POST", f"/v1/auth/api-keys/{personal.key.public_id}/rotate")
    assert refused(answer)[:2] == (409, "project_archived")
    assert ApiKey.objects.get(pk=personal.key.pk).digest == personal.key.digest


def test_opening_it_again_makes_everything_work(archived: Archived):
    acme = archived.acme
    assert acme.owner.call("POST", acme.path + "/unarchive").status_code == 200
    assert acme.owner.call("POST", acme.path, {"name": "again"}).json()["name"] == "again"
    assert acme.owner.call("DELETE", f"{acme.path}/users/{acme.member.user.pk}").status_code == 200
