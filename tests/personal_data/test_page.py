"""The page on which people delete their account."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from apps.accounts.models import User
from apps.personal_data.models import AccountDeletion
from apps.projects.services import create_organization
from tests.api_keys.conftest import Caller
from tests.console.conftest import SIGN_IN, admin_client, operator, prove

__all__ = ["admin_client", "operator"]
PATH = "/accounts/delete/"
PASSWORD = "analytical-engine-1"


@pytest.fixture(autouse=True)
def _fresh_limits() -> None:
    cache.clear()


def browser(user: User, *, seconds_ago: float = 0.0) -> Client:
    """One in which the password was given so long ago."""
    user.set_password(PASSWORD)
    user.save()
    client = Client()
    client.force_login(user, backend=SIGN_IN)
    prove(client, user, seconds_ago=seconds_ago)
    return client


def is_untouched(caller: Caller) -> bool:
    return User.objects.get(pk=caller.user.pk).is_active and not AccountDeletion.objects.exists()


def test_it_says_what_goes_and_deletes(ada: Caller):
    client = browser(ada.user)
    assert "nobody can bring it back" in client.get(PATH).text
    assert f'href="{PATH}"' in client.get("/accounts/").text
    answer = client.post(PATH, {"confirm": "ada@example.com"})
    assert (answer.status_code, "Your account is deleted" in answer.text) == (200, True)
    assert AccountDeletion.objects.get().user_id == ada.user.pk
    assert client.get("/accounts/").status_code == 302
    again = client.post("/accounts/login/", {"login": "ada@example.com", "password": PASSWORD})
    assert "_auth_user_id" not in client.session, again.status_code


@pytest.mark.parametrize("form", [{}, {"confirm": ""}, {"confirm": "bob@example.com"}, {"confirm": "x\x00"}])
def test_it_takes_the_right_word(ada: Caller, bob: Caller, form: dict[str, str]):
    answer = browser(ada.user).post(PATH, form)
    assert (answer.status_code, bool(answer.context["form"].errors["confirm"])) in ((200, True), (400, True))
    assert is_untouched(ada)


def test_it_asks_who_it_is_first(ada: Caller):
    stale = browser(ada.user, seconds_ago=360)
    for answer in (stale.get(PATH), stale.post(PATH, {"confirm": "ada"})):
        assert (answer.status_code, answer["Location"].partition("?")[0]) == (302, "/accounts/reauthenticate/")
    assert is_untouched(ada)
    stale.post("/accounts/reauthenticate/", {"password": PASSWORD, "next": PATH})
    assert AccountDeletion.objects.get().user_id == ada.user.pk


def test_the_last_owner_is_told_of_what(ada: Caller):
    create_organization(name="Shared", owner=ada.user)
    answer = browser(ada.user).post(PATH, {"confirm": "ada"})
    assert (answer.status_code, "The last owner of &#x27;Shared&#x27; cannot leave it." in answer.text) == (409, True)
    assert is_untouched(ada)


def test_an_operator_who_acts_as_somebody_does_not(ada: Caller, admin_client: Client):
    ada.user.set_password(PASSWORD)
    ada.user.save()
    begun = admin_client.post(f"/admin/act-as/{ada.user.pk}/", {"user_pk": ada.user.pk, "reason": "Ticket 17"})
    assert (begun.status_code, begun["Location"]) == (302, "/accounts/")
    assert admin_client.post(PATH, {"confirm": "ada"}).status_code == 403
    assert is_untouched(ada)


def test_a_form_of_another_site_does_nothing(ada: Caller):
    strict: Any = Client(enforce_csrf_checks=True)
    strict.cookies = browser(ada.user).cookies
    assert strict.post(PATH, {"confirm": "ada"}).status_code == 403
    assert is_untouched(ada)


def test_nobody_else_sees_it(db: None):
    assert Client().get(PATH)["Location"] == f"/accounts/login/?next={PATH}"
