"""Two at once: PostgreSQL's locks decide, one wins, and nothing is half done."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections, transaction

from apps.api_keys import service_accounts
from apps.api_keys.models import ApiKey
from apps.api_keys.services import Giver
from apps.audit.models import AuditEvent
from apps.audit.services import SYSTEM
from apps.core.errors import AppError
from apps.organizations.models import Membership
from apps.organizations.roles import ALL, ProjectRole
from apps.projects import members, project_services
from apps.projects.models import Project, ProjectMembership
from tests.projects.conftest import Acme

AT_ONCE = 6


def together(*calls: Callable[[], Any]) -> list[str]:
    """Run calls at the same moment; return `done` or the code of the refusal for each."""
    start, outcomes = threading.Barrier(len(calls)), [""] * len(calls)

    def run(number: int) -> None:
        start.wait(10)
        try:
            calls[number]()
            outcomes[number] = "done"
        except AppError as refusal:
            outcomes[number] = refusal.code
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return outcomes


@pytest.fixture
def acme(transactional_db: None) -> Acme:
    return Acme()


def test_a_member_is_added_once(acme: Acme):
    membership = acme.membership(acme.outsider)

    def add() -> None:
        members.add_member(
            project=acme.project, membership=membership, role=ProjectRole.MEMBER, giver=ALL, actor=SYSTEM
        )

    assert sorted(together(*[add] * AT_ONCE)) == ["already_a_member"] * (AT_ONCE - 1) + ["done"]
    assert ProjectMembership.objects.filter(project=acme.project, membership=membership).count() == 1
    assert AuditEvent.objects.filter(action="user.added", target_id=acme.outsider.user.pk).count() == 1


def test_whoever_leaves_while_being_added_has_no_place(acme: Acme):
    membership = acme.membership(acme.outsider)

    def add() -> None:
        members.add_member(
            project=acme.project, membership=membership, role=ProjectRole.MEMBER, giver=ALL, actor=SYSTEM
        )

    def leave() -> None:
        with transaction.atomic():
            Membership.objects.select_for_update().get(pk=membership.pk).delete()

    added, left = together(add, leave)
    assert (added in ("done", "user_not_found"), left) == (True, "done")
    assert not ProjectMembership.objects.filter(membership_id=membership.pk).exists()


def test_nothing_is_made_after_a_project_was_archived(acme: Acme):
    """Whatever the order, what was made was made before: the log has nothing after the archiving."""
    giver = Giver(ALL)

    def make() -> None:
        service_accounts.create_account_with_key(
            project=acme.project, name="x", role="member", creator=None, giver=giver, actor=SYSTEM, expires_at=None
        )

    outcomes = together(*[make] * AT_ONCE, lambda: project_services.archive_project(project=acme.project, actor=SYSTEM))
    assert set(outcomes) <= {"done", "project_archived"}
    assert outcomes[-1] == "done"
    made = outcomes[:-1].count("done")
    assert ApiKey.objects.filter(project=acme.project).count() == made
    project = Project.objects.get(pk=acme.project.pk)
    assert project.archived_at is not None
    assert not ApiKey.objects.filter(project=project, created_at__gt=project.archived_at).exists()


def test_settings_merged_at_once_are_all_there(acme: Acme):
    def put(name: str, value: Any) -> Callable[[], Any]:
        return lambda: project_services.update_project(project=acme.project, actor=SYSTEM, settings={name: value})

    given = {
        "default_model": "m",
        "allowed_models": ["m"],
        "max_conversations": 5,
        "retention_days": 7,
        "storage": "none",
    }
    assert together(*[put(name, value) for name, value in given.items()]) == ["done"] * 5
    assert Project.objects.get(pk=acme.project.pk).settings == given


def test_a_project_is_deleted_and_archived_once(acme: Acme):
    def archive() -> None:
        project_services.archive_project(project=acme.project, actor=SYSTEM)

    def delete() -> None:
        project_services.delete_project(project=acme.project, actor=SYSTEM)

    assert together(*[archive] * AT_ONCE) == ["done"] * AT_ONCE
    assert AuditEvent.objects.filter(action="project.archived").count() == 1
    assert sorted(together(*[delete] * AT_ONCE)) == ["done"] + ["project_not_found"] * (AT_ONCE - 1)
    assert AuditEvent.objects.filter(action="project.deleted").count() == 1


def test_a_key_is_not_made_for_an_account_that_is_being_deleted(acme: Acme):
    giver = Giver(ALL)
    account = service_accounts.create_service_account(
        project=acme.project, name="x", role="member", creator=None, giver=giver, actor=SYSTEM
    )
    outcomes = together(
        *[lambda: service_accounts.create_account_key(account=account, name="k", giver=giver, actor=SYSTEM)] * AT_ONCE,
        lambda: service_accounts.delete_service_account(account=account, giver=giver, actor=SYSTEM),
    )
    assert set(outcomes) <= {"done", "service_account_not_found"}
    assert ApiKey.objects.filter(service_account=account).count() == outcomes[:-1].count("done")
    assert ApiKey.objects.filter(service_account=account, revoked_at=None).count() == 0
