"""The page of who tried too often: how long to wait, and where to go on."""

from __future__ import annotations

from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.core.cache import cache
from django.test import Client

from apps.accounts.models import User

PASSWORD = "analytical-engine-1"


@pytest.fixture(autouse=True)
def _fresh_limits() -> None:
    cache.clear()


@pytest.fixture
def client(db: None) -> Client:
    user = User.objects.create_user("ada@example.com", PASSWORD)
    EmailAddress.objects.create(user=user, email="ada@example.com", verified=True, primary=True)
    browser = Client()
    browser.post("/accounts/login/", {"login": user.email, "password": PASSWORD})
    return browser


def refused(client: Client, page: str, form: dict[str, str]) -> Any:
    answers = (client.post(page, form) for _ in range(12))
    return next(answer for answer in answers if answer.status_code == 429)


@pytest.mark.parametrize(
    ("page", "form", "seconds"),
    [
        ("/accounts/password/change/", {"oldpassword": "wrong"}, "60"),
        ("/accounts/email/", {"email": "ada@example.com", "action_primary": ""}, "60"),
        ("/accounts/reauthenticate/", {"password": "wrong"}, "300"),
    ],
)
def test_the_wait_is_that_of_the_limit(client: Client, page: str, form: dict[str, str], seconds: str):
    answer = refused(client, page, form)
    assert answer["Retry-After"] == seconds
    assert f"Please wait {seconds} seconds and try again." in answer.content.decode()


def test_a_password_is_asked_for_again_after_a_minute(db: None):
    answer = refused(Client(), "/accounts/password/reset/", {"email": "ada@example.com"})
    assert answer["Retry-After"] == "60"


def test_the_page_leads_back_to_the_sign_in_page(db: None):
    answer = refused(Client(), "/accounts/login/", {"login": "ada@example.com", "password": "wrong"})
    assert answer["Retry-After"] == "300"
    assert '<a class="button quiet" href="/accounts/login/">To the sign-in page</a>' in answer.content.decode()
