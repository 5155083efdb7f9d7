"""Guests: what is left of a silent one, and how one becomes an account."""

from __future__ import annotations

import datetime
import json
import re
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.usersessions.models import UserSession
from django.core import mail
from django.test import Client
from django.utils import timezone

from apps.accounts.models import RefreshTokenFamily, User
from apps.accounts.services import note_seen
from apps.accounts.tokens import verify_access_token
from apps.audit.models import AuditEvent
from apps.organizations.models import Membership, Organization
from apps.projects.models import Project
from apps.projects.services import create_organization
from apps.projects.tasks import tidy_accounts
from apps.usage.models import State, UsageRecord

OWNED = (User, Organization, Membership, Project, RefreshTokenFamily, UserSession)


class Guest:
    """A guest that calls through Django, below the edge."""

    def __init__(self) -> None:
        self.client = Client()
        made = self.client.post("/v1/auth/guest-login")
        assert made.status_code == 201
        self.user_id, self.access = made.json()["user_id"], made.json()["access_token"]

    @property
    def user(self) -> User:
        return User.objects.get(pk=self.user_id)

    def post(self, path: str, body: Any) -> Any:
        return self.client.post(
            path, json.dumps(body), content_type="application/json", headers={"authorization": f"Bearer {self.access}"}
        )

    def upgrade(self, **body: Any) -> Any:
        return self.post("/v1/auth/upgrade", body)


@pytest.fixture
def guest(db: None) -> Guest:
    return Guest()


def counts() -> dict[str, int]:
    return {model.__name__: model.objects.count() for model in OWNED}


def fall_silent(user_id: str, hours: float) -> None:
    long_ago = timezone.now() - datetime.timedelta(hours=hours)
    User.objects.filter(pk=user_id).update(last_seen_at=None, created_at=long_ago)


def use(guest: Guest) -> UsageRecord:
    membership = Membership.objects.get(user_id=guest.user_id)
    return UsageRecord.objects.create(
        request_id="req_guest",
        organization=membership.organization,
        project=Project.objects.get(organization=membership.organization),
        user=guest.user,
        endpoint="chat/completions",
        model="m",
        state=State.COMPLETED,
        accepted_at=timezone.now(),
    )


def test_a_silent_guest_goes_with_all_it_owns_and_its_usage_stays(db):
    User.objects.create_user("ada@example.com", "analytical-engine-1")
    before = counts()
    guest = Guest()
    record = use(guest)
    assert counts() == {name: count + 1 for name, count in before.items()}
    fall_silent(guest.user_id, 24.2)
    tidy_accounts()
    assert counts() == before
    record.refresh_from_db()
    assert (record.user_id, record.state) == (guest.user_id, State.COMPLETED)
    event = AuditEvent.objects.get(target_id=guest.user_id)
    assert (event.action, event.actor_kind, event.details) == (
        "user.deleted", "system", {"reason": "guest fell silent"},
    )  # fmt: skip


@pytest.mark.parametrize(
    "keep",
    [
        lambda guest: fall_silent(guest.user_id, 23.9),
        lambda guest: (fall_silent(guest.user_id, 30), note_seen([guest.user_id])),
        lambda guest: (fall_silent(guest.user_id, 30), guest.upgrade(email="ada@example.com")),
    ],
    ids=["not silent for long", "seen a moment ago", "no guest any more"],
)
def test_others_stay(guest: Guest, keep: Any):
    keep(guest)
    before = counts()
    tidy_accounts()
    assert counts() == before


def test_a_guest_in_a_team_goes_and_the_team_stays(guest: Guest):
    owner = User.objects.create_user("ada@example.com", "analytical-engine-1")
    teams = [Organization.objects.get(memberships__user=owner), create_organization(name="Team", owner=owner)]
    for team in teams:  # the first one is the owner's personal one
        Membership.objects.create(user=guest.user, organization=team, role="admin")
    fall_silent(guest.user_id, 30)
    tidy_accounts()
    assert not User.objects.filter(pk=guest.user_id).exists()
    for team in teams:
        assert [each.user_id for each in team.memberships.all()] == [owner.pk]
        assert team.projects.count() == 1


def test_being_seen_is_written_at_most_every_five_minutes(guest: Guest):
    note_seen([guest.user_id])
    first = guest.user.last_seen_at
    note_seen([guest.user_id])
    assert guest.user.last_seen_at == first
    earlier = timezone.now() - datetime.timedelta(minutes=6)
    User.objects.filter(pk=guest.user_id).update(last_seen_at=earlier)
    note_seen([guest.user_id])
    assert guest.user.last_seen_at > earlier


@pytest.mark.django_db(transaction=True)
def test_an_upgraded_guest_keeps_what_it_has_and_owns_its_address_once_it_followed_the_link(settings):
    guest = Guest()
    record = use(guest)
    organization = Membership.objects.get(user_id=guest.user_id).organization_id
    answer = guest.upgrade(email="Ada@Example.com", username="ada", full_name="Ada Lovelace", password="engine-no-1!")
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "status": "upgraded",
            "user_id": guest.user_id,
            "email": "ada@example.com",
            "email_verified": False,
            "username": "ada",
            "name": "Ada Lovelace",
        },
    )
    user = guest.user
    assert (user.is_guest, user.email, user.username, user.name) == (False, None, "ada", "Ada Lovelace")
    assert verify_access_token(guest.access).user == user
    assert Membership.objects.get(user=user).organization_id == organization == record.organization_id

    address = EmailAddress.objects.get()
    assert (address.user_id, address.email, address.verified) == (user.pk, "ada@example.com", False)
    assert guest.post("/v1/auth/api-keys", {"name": "mine"}).status_code == 403
    early, browser = Client(), Client()
    early.post("/accounts/login/", {"login": "ada@example.com", "password": "engine-no-1!"})
    assert "_auth_user_id" not in early.session  # what needs a verified address does not work before

    letter = mail.outbox[0]
    assert {address for each in mail.outbox for address in each.to} == {"ada@example.com"}
    link = re.search(r"http\S+/accounts/confirm-email/\S+", letter.body)
    assert link, letter.body
    path = link.group().removeprefix(settings.PUBLIC_URL)
    answer = browser.post(path)
    address.refresh_from_db()
    assert (address.verified, address.primary, guest.user.email) == (True, True, "ada@example.com")
    # Nobody knows whether it was the address's owner who had the guest's token and chose the password.
    browser.post("/accounts/login/", {"login": "ada@example.com", "password": "engine-no-1!"})
    assert "_auth_user_id" not in browser.session
    assert guest.post("/v1/auth/api-keys", {"name": "mine"}).status_code == 401
    chosen = {"password1": "engine-no-2!", "password2": "engine-no-2!"}
    browser.post(browser.get(answer["location"])["location"], chosen)
    browser.post("/accounts/login/", {"login": "ada@example.com", "password": "engine-no-2!"})
    assert browser.session["_auth_user_id"] == user.pk
    assert Membership.objects.get(user=user).organization_id == organization
    assert [event.action for event in AuditEvent.objects.filter(target_id=user.pk)][-1] == "user.upgraded"


@pytest.mark.django_db(transaction=True)
def test_a_mail_that_cannot_be_sent_undoes_nothing(settings: Any):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    guest = Guest()
    assert guest.upgrade(email="ada@example.com").status_code == 200
    assert (guest.user.is_guest, EmailAddress.objects.get().user_id) == (False, guest.user_id)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "email"),
        ({"email": "nobody"}, "email"),
        ({"email": "a" * 250 + "@example.com"}, "email"),
        ({"email": ["ada@example.com"]}, "email"),
        ({"email": "a@exam\u2028ple.de"}, "email"),
        ({"email": "a@" + "ü" * 62 + ".de"}, "email"),
        ({"email": "ſ@example.com"}, "email"),
        ({"email": "ada@example.com", "password": "12345678"}, "password"),
        ({"email": "ada@example.com", "password": ""}, "password"),
        ({"email": "ada@example.com", "username": ""}, "username"),
        ({"email": "ada@example.com", "username": "u" * 151}, "username"),
        ({"email": "ada@example.com", "full_name": {}}, "full_name"),
        ({"email": "ada@example.com", "is_staff": True}, "is_staff"),
    ],
)
def test_a_bad_upgrade_is_refused_and_changes_nothing(guest: Guest, body: Any, param: str):
    before = User.objects.filter(pk=guest.user_id).values().get()
    answer = guest.upgrade(**body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert User.objects.filter(pk=guest.user_id).values().get() == before
    assert not EmailAddress.objects.exists()
    assert not AuditEvent.objects.exists()
    assert mail.outbox == []


def test_a_mistyped_address_is_replaced_while_it_is_unconfirmed(guest: Guest):
    assert guest.upgrade(email="ada@exmaple.com", username="ada", full_name="Ada").status_code == 200
    again = guest.upgrade(email="ada@example.com")
    assert again.status_code == 200
    assert (again.json()["username"], again.json()["name"]) == ("ada", "Ada")
    assert [(each.email, each.verified) for each in EmailAddress.objects.all()] == [("ada@example.com", False)]


def test_the_answer_spells_the_address_as_it_is_stored(guest: Guest):
    assert guest.upgrade(email="Ada@ｃorp.test").json()["email"] == EmailAddress.objects.get().email == "ada@corp.test"


def test_only_a_guest_is_upgraded(guest: Guest):
    assert guest.upgrade(email="ada@example.com").status_code == 200
    address = EmailAddress.objects.get()
    address.verified = True
    address.set_as_primary()
    before = User.objects.filter(pk=guest.user_id).values().get()
    again = guest.upgrade(email="eve@example.com")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "not_a_guest")
    assert User.objects.filter(pk=guest.user_id).values().get() == before
    assert [each.email for each in EmailAddress.objects.all()] == ["ada@example.com"]


@pytest.mark.django_db(transaction=True)
def test_a_taken_address_is_answered_alike_and_its_owner_is_told():
    owner = User.objects.create_user("ada@example.com", "analytical-engine-1")
    EmailAddress.objects.update_or_create(
        user=owner, email="ada@example.com", defaults={"verified": True, "primary": True}
    )
    taken, free = Guest().upgrade(email="ada@example.com"), Guest().upgrade(email="eve@example.com")
    assert taken.status_code == free.status_code == 200
    assert set(taken.json()) == set(free.json())
    assert taken.json()["email_verified"] is free.json()["email_verified"] is False
    told, asked = mail.outbox
    assert (told.to, "/confirm-email/" in told.body) == (["ada@example.com"], False)
    assert (asked.to, "/confirm-email/" in asked.body) == (["eve@example.com"], True)
    assert EmailAddress.objects.get(email="ada@example.com", verified=True).user == owner
    owner.refresh_from_db()
    assert owner.email == "ada@example.com"


@pytest.mark.parametrize("mode", ["closed", "invitation"])
def test_nobody_upgrades_where_sign_up_is_not_open(guest: Guest, settings: Any, mode: str):
    settings.SIGNUP = mode
    before = User.objects.filter(pk=guest.user_id).values().get()
    answer = guest.upgrade(email="ada@example.com", password="engine-no-1!")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "signup_closed")
    assert User.objects.filter(pk=guest.user_id).values().get() == before
    assert not EmailAddress.objects.exists()
    assert mail.outbox == []
