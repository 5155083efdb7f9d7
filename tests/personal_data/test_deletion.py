from __future__ import annotations

import datetime
from typing import Any

import pytest
from allauth.usersessions.models import UserSession
from django.core.files.storage import default_storage
from django.utils import timezone

from apps.accounts.models import User
from apps.api_keys.authentication import Credentials, resolve
from apps.api_keys.tokens import KeyKind
from apps.audit.models import AuditEvent
from apps.conversations.models import Branch, Conversation, Item
from apps.core.errors import AppError, Unauthenticated
from apps.idempotency.models import IdempotencyRecord
from apps.organizations.models import Membership, Organization
from apps.organizations.roles import Role
from apps.personal_data import deletion, exports
from apps.personal_data.models import AccountDeletion, DataExport
from apps.projects.services import create_organization
from tests.api_keys.conftest import Caller, guest, join
from tests.personal_data.world import CONVERSATIONS, furnish, owned_by

__all__ = ["guest"]

PATH = "/v1/users/me"
WITH_NAME = {"confirm": "ada"}


def refused(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def is_untouched(caller: Caller) -> bool:
    return User.objects.get(pk=caller.user.pk).is_active and not AccountDeletion.objects.exists()


@pytest.mark.parametrize("confirm", ["ada", "Ada@Example.com ", None])
def test_an_account_goes_with_everything_it_owns_and_nothing_else(ada: Caller, bob: Caller, confirm: str | None):
    furnish(ada, "apple")
    furnish(bob, "banana")
    join(ada.user, bob.organization, Role.ADMIN)
    inside = Caller(ada.user, ada.secret)
    headers = {"openai_organization": bob.organization.public_id}
    assert inside.call("POST", CONVERSATIONS, {"title": "at Bob's"}, **headers).status_code == 200
    before, organization = owned_by(bob), ada.organization
    shared = Conversation.objects.create(organization=bob.organization, project=bob.project, title="the project's")

    answer = ada.call("DELETE", PATH, {"confirm": confirm or ada.user.pk})
    assert (answer.status_code, answer.json()) == (
        200,
        {"id": ada.user.pk, "object": "user.deleted", "deleted": True},
    )
    deletion.finish_deletion(ada.user.pk)

    gone = dict.fromkeys(before, 0) | {"usage": 1}
    assert owned_by(ada) == gone
    assert not User.objects.filter(pk=ada.user.pk).exists()
    assert not Organization.objects.filter(pk=organization.pk).exists()
    assert owned_by(bob) == before
    assert Conversation.objects.filter(pk=shared.pk).exists()
    assert IdempotencyRecord.objects.get().key == "banana"
    assert Item.objects.count() == 2
    assert Branch.objects.count() == 1  # those made below the API have none
    deletion.finish_deletion(ada.user.pk)


def test_at_once_nobody_can_use_it(ada: Caller, bob: Caller):
    own = ada.with_key()
    shared = ada.with_key(kind=KeyKind.PROJECT)
    service = ada.with_key(kind=KeyKind.SERVICE_ACCOUNT)
    join(ada.user, bob.organization, Role.MEMBER)
    at_bobs = ada.with_key(project=bob.project)
    assert ada.call("DELETE", PATH, WITH_NAME).status_code == 200
    for caller in (ada, own, shared, service, at_bobs):
        with pytest.raises(AppError) as refusal:
            resolve(Credentials(bearer=caller.secret))
        assert isinstance(refusal.value, Unauthenticated)
    assert list(Membership.objects.filter(organization=bob.organization).values_list("user", flat=True)) == [
        bob.user.pk
    ]
    assert not UserSession.objects.filter(user=ada.user).exists()
    assert AccountDeletion.objects.get().user_id == ada.user.pk


def test_it_is_written_down(ada: Caller):
    ada.call("DELETE", PATH, WITH_NAME)
    deletion.finish_deletion(ada.user.pk)
    events = AuditEvent.objects.filter(target_kind="user", target_id=ada.user.pk, organization="")
    told = {(event.action, event.actor_id, event.details.get("reason")) for event in events}
    assert {
        ("user.deletion_requested", ada.user.pk, None),
        ("user.deleted", ada.user.pk, "own wish"),
    } <= told


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "confirm"),
        ({"confirm": "bob@example.com"}, "confirm"),
        ({"confirm": ""}, "confirm"),
        ({"confirm": "\x00"}, None),
        ({"confirm": ["ada"]}, "confirm"),
        ({"confirm": "ada", "really": True}, "really"),
    ],
)
def test_it_takes_the_right_word(ada: Caller, body: Any, param: str):
    answer = ada.call("DELETE", PATH, body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert is_untouched(ada)


def test_keys_delete_no_account(ada: Caller):
    for kind in (KeyKind.USER, KeyKind.PROJECT, KeyKind.ADMIN):
        assert refused(ada.with_key(kind=kind).call("DELETE", PATH, WITH_NAME)) == (403, "wrong_key_kind")
    assert is_untouched(ada)


def test_an_old_sign_in_is_not_enough(ada: Caller, settings: Any):
    since = timezone.now() - datetime.timedelta(seconds=settings.ACCOUNT_REAUTHENTICATION_TIMEOUT + 1)
    UserSession.objects.filter(user=ada.user).update(created_at=since)
    answer = ada.call("DELETE", PATH, WITH_NAME)
    assert refused(answer) == (403, "reauthentication_required")
    assert answer.json()["error"]["details"] == {"url": f"{settings.PUBLIC_URL}/accounts/delete/"}
    assert is_untouched(ada)


def test_a_guest_has_nothing_to_sign_in_with_again(guest: Caller):
    UserSession.objects.filter(user=guest.user).update(created_at=timezone.now() - datetime.timedelta(days=1))
    assert guest.call("DELETE", PATH, {"confirm": guest.user.username}).status_code == 200
    deletion.finish_deletion(guest.user.pk)
    assert not User.objects.filter(pk=guest.user.pk).exists()


def test_the_last_owner_stays_and_is_told_of_what(ada: Caller, bob: Caller):
    shared = create_organization(name="Shared", owner=ada.user)
    place = join(bob.user, shared, Role.ADMIN)
    answer = ada.call("DELETE", PATH, WITH_NAME)
    assert refused(answer) == (409, "last_owner")
    assert answer.json()["error"]["details"] == {"organization_id": shared.public_id}
    assert is_untouched(ada)
    place.role = Role.OWNER
    place.save()
    assert ada.call("DELETE", PATH, WITH_NAME).status_code == 200
    assert list(shared.memberships.values_list("user", flat=True)) == [bob.user.pk]


def test_the_last_superuser_stays(ada: Caller):
    User.objects.all().update(is_superuser=False)
    User.objects.filter(pk=ada.user.pk).update(is_staff=True, is_superuser=True)
    assert refused(ada.call("DELETE", PATH, WITH_NAME)) == (409, "last_operator")
    assert is_untouched(ada)


def test_its_export_goes_at_once(ada: Caller, django_capture_on_commit_callbacks: Any):
    ada.call("GET", f"{PATH}/export")
    exports.write_export(DataExport.objects.get().pk)
    file = DataExport.objects.get().file
    with django_capture_on_commit_callbacks(execute=True):
        assert ada.call("DELETE", PATH, WITH_NAME).status_code == 200
    assert (DataExport.objects.count(), default_storage.exists(file)) == (0, False)


def test_a_task_that_died_is_followed_by_another(ada: Caller):
    """Whatever part is done already, the rest follows."""
    furnish(ada, "apple")
    ada.call("DELETE", PATH, WITH_NAME)
    Conversation.objects.filter(user=ada.user).delete()
    assert not deletion.overdue().exists()
    AccountDeletion.objects.update(requested_at=timezone.now() - deletion.SILENCE)
    assert list(deletion.overdue()) == [ada.user.pk]
    deletion.finish_deletion(ada.user.pk)
    assert not User.objects.filter(pk=ada.user.pk).exists()
    assert not deletion.overdue().exists()


def test_the_task_does_nothing_to_an_account_that_was_not_deleted(ada: Caller):
    furnish(ada, "apple")
    before = owned_by(ada)
    deletion.finish_deletion(ada.user.pk)
    deletion.finish_deletion("user_unknown")
    assert (owned_by(ada), is_untouched(ada)) == (before, True)
