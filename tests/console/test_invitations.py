"""Operators' invitations, in their list."""

from __future__ import annotations

from typing import Any

import pytest
from django.core import mail
from django.test import Client
from django.utils import timezone

from apps.accounts.invitations import send_invitation
from apps.accounts.models import Invitation, User
from apps.audit.models import AuditEvent
from apps.audit.services import SYSTEM
from tests.mailbox import link_in

LIST = "/admin/accounts/invitation/"
ONE, OTHER = "grace@example.com", "ada@example.com"


@pytest.fixture
def links(db: None, django_capture_on_commit_callbacks: Any) -> list[str]:
    with django_capture_on_commit_callbacks(execute=True):
        for email in (ONE, OTHER):
            send_invitation(email=email, actor=SYSTEM)
    return [link_in(str(message.body)) for message in mail.outbox]


def act(client: Client, action: str, *emails: str) -> list[str]:
    """Do something with invitations and return what the page says of it."""
    chosen = [str(pk) for pk in Invitation.objects.filter(email__in=emails).values_list("pk", flat=True)]
    answer = client.post(LIST, {"action": action, "_selected_action": chosen}, follow=True)
    return [str(message) for message in answer.context["messages"]]


def opens(link: str) -> bool:
    return Client().get(link).status_code == 302


def test_an_invitation_is_revoked(admin_client: Client, operator: User, links: list[str]):
    assert act(admin_client, "revoke", ONE) == ["1 invitations open nothing any more."]
    assert [opens(link) for link in links] == [False, True]
    assert act(admin_client, "revoke", ONE, OTHER) == ["1 invitations open nothing any more."]
    assert [opens(link) for link in links] == [False, False]
    revoked = AuditEvent.objects.filter(action="invite.deleted").order_by("pk")
    assert [(event.actor_id, event.details) for event in revoked] == [
        (operator.pk, {"email": ONE}),
        (operator.pk, {"email": OTHER}),
    ]


def test_an_invitation_is_sent_again_with_another_link(
    admin_client: Client, operator: User, links: list[str], django_capture_on_commit_callbacks: Any
):
    Invitation.objects.filter(email=ONE).update(expires_at=timezone.now())
    act(admin_client, "revoke", OTHER)
    with django_capture_on_commit_callbacks(execute=True):
        said = act(admin_client, "resend", ONE, OTHER)
    assert said == [
        "ada@example.com: This invitation was used or revoked. Send a new one.",
        "1 invitations were mailed again. The links before are dead.",
    ]
    assert (len(mail.outbox), mail.outbox[-1].to) == (3, [ONE])
    assert [opens(link) for link in (*links, link_in(str(mail.outbox[-1].body)))] == [False, False, True]
    row = Invitation.objects.get(email=ONE)
    assert (row.state, row.invited_by_id) == ("pending", operator.pk)


def test_invitations_are_filtered_by_their_state(admin_client: Client, links: list[str]):
    now = timezone.now()
    for state, fields in {"expired": {}, "accepted": {"accepted_at": now}, "revoked": {"revoked_at": now}}.items():
        Invitation.objects.create(
            email=f"{state}@example.com", token_digest=state, sent_at=now, expires_at=now, **fields
        )
    Invitation.objects.filter(email=OTHER).delete()
    listed = {
        state: [row.email for row in admin_client.get(LIST, {"state": state}).context["cl"].result_list]
        for state in ("pending", "expired", "accepted", "revoked")
    }
    assert listed == {
        "pending": [ONE],
        **{state: [f"{state}@example.com"] for state in ("expired", "accepted", "revoked")},
    }
    assert admin_client.get(f"{LIST}invite/")["Location"] == "/admin/accounts/user/invite/"


def test_the_history_of_an_invitation_is_the_logs(admin_client: Client, links: list[str]):
    act(admin_client, "revoke", ONE)
    row = Invitation.objects.get(email=ONE)
    page = admin_client.get(f"{LIST}{row.pk}/history/").text
    assert ("invite.sent" in page, "invite.deleted" in page) == (True, True)
    assert row.token_digest not in admin_client.get(f"{LIST}{row.pk}/change/").text
