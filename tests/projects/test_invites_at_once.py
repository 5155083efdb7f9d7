"""Invites that several do something with at once, on PostgreSQL: one of them does it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from allauth.account.models import EmailAddress
from django.core.cache import cache
from django.db import connections

from apps.accounts.invitations import send_invitation
from apps.accounts.models import Invitation, User
from apps.accounts.sessions import actor_of
from apps.audit.models import AuditEvent
from apps.audit.services import SYSTEM
from apps.core.epoch import raise_epoch
from apps.core.errors import AppError
from apps.organizations.models import Invite, Membership, Organization
from apps.organizations.roles import Role
from apps.projects.invites import accept_invite, decline_invite, resend_invite, revoke_invite, send_invite
from apps.projects.services import create_organization

pytestmark = pytest.mark.django_db(transaction=True)
GRACE = "grace@example.com"


@pytest.fixture(autouse=True)
def _clean(transactional_db: None) -> None:
    cache.clear()
    raise_epoch()


@pytest.fixture
def owner() -> User:
    return User.objects.create_user("owner@acme.example")


@pytest.fixture
def acme(owner: User) -> Organization:
    return create_organization(name="Acme", owner=owner)


@pytest.fixture
def grace() -> User:
    user = User.objects.create_user(GRACE)
    EmailAddress.objects.create(user=user, email=GRACE, verified=True, primary=True)
    return user


def at_once(*calls: Callable[[], object]) -> Counter[str]:
    """Run calls in threads and count how they were answered: "done", or the code of a refusal."""

    def run(call: Callable[[], object]) -> str:
        try:
            call()
        except AppError as refusal:
            return refusal.code
        finally:
            connections.close_all()
        return "done"

    with ThreadPoolExecutor(len(calls)) as pool:
        return Counter(pool.map(run, calls))


def actions(organization: Organization) -> Counter[str]:
    events = AuditEvent.objects.filter(organization=organization.public_id)
    return Counter(events.exclude(action="organization.created").values_list("action", flat=True))


def new_invite(acme: Organization, owner: User) -> Invite:
    return send_invite(organization=acme, email=GRACE, role=Role.MEMBER, inviter=owner, actor=actor_of(owner)).invite


def test_of_twenty_who_accept_one_does(acme: Organization, owner: User, grace: User):
    new_invite(acme, owner)
    answers = at_once(*[lambda: accept_invite(invite=Invite.objects.get(), user=grace)] * 20)
    assert answers == {"done": 1, "invite_not_found": 19}
    assert Membership.objects.filter(organization=acme, user=grace).count() == 1
    assert actions(acme) == {"invite.sent": 1, "invite.accepted": 1, "user.added": 1}


def test_accepting_declining_and_revoking_at_once_is_one_of_them(acme: Organization, owner: User, grace: User):
    actor = actor_of(owner)
    for _ in range(6):
        pk = new_invite(acme, owner).pk
        cache.clear()
        answers = at_once(
            lambda pk=pk: accept_invite(invite=Invite.objects.get(pk=pk), user=grace),
            lambda pk=pk: decline_invite(invite=Invite.objects.get(pk=pk), user=grace),
            lambda pk=pk: revoke_invite(invite=Invite.objects.get(pk=pk), actor=actor),
            lambda pk=pk: resend_invite(invite=Invite.objects.get(pk=pk), inviter=owner, actor=actor),
        )
        state = Invite.objects.get(pk=pk).state
        is_member = Membership.objects.filter(organization=acme, user=grace).exists()
        assert is_member == (state == "accepted")
        assert state != "pending"
        assert answers["done"] >= 1
        Membership.objects.filter(organization=acme, user=grace).delete()


def test_of_many_who_invite_an_address_one_does(acme: Organization, owner: User):
    answers = at_once(*[lambda: new_invite(acme, owner)] * 8)
    assert answers == {"done": 1, "already_invited": 7}
    assert (Invite.objects.count(), actions(acme)) == (1, {"invite.sent": 1})


def test_of_many_invitations_to_an_address_the_last_is_good(db: None):
    answers = at_once(*[lambda: send_invitation(email=GRACE, actor=SYSTEM)] * 4)
    assert answers == {"done": 4}
    assert [invitation.state for invitation in Invitation.objects.all()] == ["pending"]
