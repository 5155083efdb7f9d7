"""What a page says once stays on the server: browsers get the cookies of the session and of forms, and no others."""

from __future__ import annotations

from typing import Any

from allauth.account.models import EmailAddress
from django.core import mail
from django.test import Client

from apps.accounts.invitations import send_invitation
from apps.accounts.models import User
from apps.audit.services import SYSTEM
from tests.mailbox import link_in

COOKIES = {"jan_session", "jan_csrf"}


def new_user(email: str) -> User:
    user = User.objects.create_user(email, "analytical-engine-1")
    EmailAddress.objects.create(user=user, email=email, verified=True, primary=True)
    return user


def test_who_signs_out_is_told_so_once(client: Client, db: None):
    client.force_login(new_user("ada@example.com"))
    client.post("/accounts/logout/")
    assert set(client.cookies) <= COOKIES
    assert client.get("/accounts/login/").text.count("You are signed out.") == 1
    assert "You are signed out." not in client.get("/accounts/login/").text


def test_an_invited_address_is_named_on_the_page_and_in_no_cookie(
    client: Client, db: None, django_capture_on_commit_callbacks: Any
):
    with django_capture_on_commit_callbacks(execute=True):
        send_invitation(email="grace@example.com", actor=SYSTEM)
    new_user("grace@example.com")
    answer = client.get(link_in(str(mail.outbox[-1].body)))
    assert answer["Location"] == "/accounts/login/"
    assert set(client.cookies) <= COOKIES
    assert "grace@example.com has an account already" in client.get("/accounts/login/").text
