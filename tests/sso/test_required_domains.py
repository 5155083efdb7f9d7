"""Domains whose people sign in with their provider and with nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.core import mail
from django.test import Client

from apps.accounts.models import User
from apps.sso.models import SSODomain
from tests.parts.issuer import ScriptedIssuer
from tests.sso.conftest import add_provider, add_user
from tests.sso.test_api_sign_in import finish as finish_over_the_api
from tests.sso.test_api_sign_in import refusal
from tests.sso.test_pages import finish, signed_in

POINTER = "People of acme.com sign in with Acme."


@pytest.fixture
def acme(db: None, issuer: ScriptedIssuer) -> SSODomain:
    owner = add_user("owner@elsewhere.test")
    provider = add_provider(issuer.issuer, slug="acme")
    return SSODomain.objects.create(
        organization=owner.memberships.get().organization, domain="acme.com", provider=provider
    )


def log_in(client: Client, email: str, password: str = "analytical-engine-1") -> Any:
    return client.post("/accounts/login/", {"login": email, "password": password})


def text_without_address(answer: Any, email: str) -> str:
    page = answer.content.decode().replace(email, "")
    return "\n".join(line for line in page.splitlines() if "csrfmiddlewaretoken" not in line)


@pytest.mark.parametrize("path", ["/accounts/login/", "/accounts/signup/", "/accounts/password/reset/"])
def test_password_sign_in_sign_up_and_reset_point_to_the_provider_for_known_and_unknown_alike(
    acme: SSODomain, client: Client, path: str
):
    add_user("ada@acme.com")
    users = User.objects.count()
    pages = []
    for email in ("ada@acme.com", "bob@acme.com", "ADA@ACME.com"):
        form = {"login": email, "email": email, "password": "analytical-engine-1", "password1": "analytical-engine-1"}
        answer = client.post(path, form)
        assert (answer.status_code, POINTER in answer.content.decode()) == (200, True)
        pages.append(text_without_address(answer, email).replace(email.lower(), ""))
    assert pages[0] == pages[1]
    assert (signed_in(client), User.objects.count(), mail.outbox) == (None, users, [])


def test_other_domains_and_names_below_it_are_not_meant(acme: SSODomain, client: Client):
    for email in ("ada@notacme.com", "ada@eu.acme.com", "acme.com@example.com"):
        add_user(email)
        other = Client()
        assert log_in(other, email).status_code == 302
        assert signed_in(other) is not None


@pytest.mark.parametrize("change", ["not required", "disabled"])
def test_a_rule_not_in_force_changes_nothing(acme: SSODomain, client: Client, change: str):
    add_user("ada@acme.com")
    if change == "disabled":
        acme.provider.is_enabled = False
        acme.provider.save()
    else:
        SSODomain.objects.update(is_required=False)
    assert log_in(client, "ada@acme.com").status_code == 302


def test_its_people_come_in_with_the_provider(acme: SSODomain, client: Client, issuer: ScriptedIssuer):
    ada = add_user("ada@acme.com")
    assert finish(client, issuer, "acme", email="ada@acme.com").status_code == 302
    assert signed_in(client) == ada.pk


def test_also_those_who_come_for_the_first_time(acme: SSODomain, client: Client, issuer: ScriptedIssuer):
    assert finish(client, issuer, "acme", email="ada@acme.com").status_code == 302
    ada = User.objects.get(email="ada@acme.com")
    assert signed_in(client) == ada.pk
    assert list(EmailAddress.objects.filter(user=ada).values_list("email", "verified", "primary")) == [
        ("ada@acme.com", True, True)
    ]


def test_and_with_no_other(acme: SSODomain, client: Client):
    ada = add_user("ada@acme.com")
    with ScriptedIssuer() as other:
        add_provider(other.issuer)
        answers = [finish(client, other, email="ada@acme.com"), finish(client, other, email="new@acme.com", sub="u-2")]
        assert [(answer.status_code, POINTER in answer.content.decode()) for answer in answers] == [(403, True)] * 2
        assert refusal(finish_over_the_api(client, other, email="ada@acme.com")) == (403, "sso_required")
        ada.socialaccount_set.create(provider="oidc", uid="u-9")
        assert refusal(finish_over_the_api(client, other, sub="u-9")) == (403, "sso_required")
    assert signed_in(client) is None
    assert User.objects.count() == 2


@pytest.mark.parametrize("factor", [True, False])
@pytest.mark.parametrize("is_staff", [True, False])
def test_only_an_operator_with_a_second_factor_keeps_the_password(
    acme: SSODomain, client: Client, is_staff: bool, factor: bool
):
    ada = add_user("ada@acme.com", is_staff=is_staff)
    if factor:
        Authenticator.objects.create(user=ada, type=Authenticator.Type.TOTP, data={"secret": "sealed"})
    answer = log_in(client, "ada@acme.com")
    if is_staff and factor:
        assert (answer.status_code, "/2fa/authenticate/" in answer["Location"]) == (302, True)
    else:
        assert POINTER in answer.content.decode()
    assert signed_in(client) is None
    assert POINTER in log_in(Client(), "ada@acme.com", "wrong").content.decode()


def test_a_guest_does_not_take_such_an_address(acme: SSODomain, client: Client):
    token = client.post("/v1/auth/guest-login").json()["access_token"]
    answer = client.post(
        "/v1/auth/upgrade",
        json.dumps({"email": "ada@acme.com"}),
        content_type="application/json",
        headers={"authorization": f"Bearer {token}"},
    )
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "email")
    assert POINTER in answer.json()["error"]["message"]
    assert User.objects.get_queryset().filter(is_guest=True).count() == 1


# --- The rule binds people, whatever address they type ---------------------------------------------


PRIVATE = "ada@private.test"


def snapshot(user: User) -> Any:
    user.refresh_from_db()
    addresses = EmailAddress.objects.filter(user=user).order_by("email")
    return user.email, user.password, list(addresses.values_list("email", "verified", "primary"))


@pytest.fixture
def ada(acme: SSODomain) -> User:
    """Somebody of the domain who had a private address, and made it the account's, before the rule."""
    user = add_user(PRIVATE)
    EmailAddress.objects.create(user=user, email="ada@acme.com", verified=True)
    return user


@pytest.mark.parametrize("known_by", ["address", "provider"])
def test_a_private_address_opens_nothing_with_a_password(acme: SSODomain, client: Client, ada: User, known_by: str):
    if known_by == "provider":
        EmailAddress.objects.filter(email="ada@acme.com").delete()
        ada.socialaccount_set.create(provider="acme", uid="u-1", extra_data={"email": "ada@acme.com"})
    assert POINTER in log_in(client, PRIVATE).content.decode()
    assert signed_in(client) is None
    assert POINTER not in log_in(Client(), PRIVATE, "wrong").content.decode()


def test_who_only_shares_the_provider_keeps_the_password(acme: SSODomain, client: Client):
    bob = add_user("bob@private.test")
    bob.socialaccount_set.create(provider="acme", uid="u-2", extra_data={"email": "bob@private.test"})
    bob.socialaccount_set.create(provider="oidc", uid="u-3", extra_data={"email": "bob@acme.com"})
    assert log_in(client, "bob@private.test").status_code == 302
    assert signed_in(client) == bob.pk


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/accounts/email/", {"action_add": "", "email": "more@private.test"}),
        ("/accounts/email/", {"action_primary": "", "email": PRIVATE}),
        ("/accounts/email/", {"action_remove": "", "email": PRIVATE}),
        ("/accounts/password/set/", {"password1": "another-engine-2", "password2": "another-engine-2"}),
    ],
)
def test_signed_in_by_the_provider_no_other_way_in_is_made(
    acme: SSODomain, client: Client, issuer: ScriptedIssuer, path: str, form: dict[str, str]
):
    finish(client, issuer, "acme", email="ada@acme.com")
    ada = User.objects.get(email="ada@acme.com")
    EmailAddress.objects.create(user=ada, email=PRIVATE, verified=True)
    before = snapshot(ada)
    answer = client.post(path, form)
    assert (answer.status_code, POINTER in answer.content.decode()) == (403, True)
    assert (snapshot(ada), mail.outbox) == (before, [])
    assert client.get("/accounts/email/").status_code == 200


def test_the_provider_is_not_disconnected(acme: SSODomain, client: Client, issuer: ScriptedIssuer):
    finish(client, issuer, "acme", email="ada@acme.com")
    ada = User.objects.get(email="ada@acme.com")
    add_provider("https://other.test")
    ada.socialaccount_set.create(provider="oidc", uid="u-9", extra_data={"name": "Ada"})
    account = ada.socialaccount_set.get(provider="acme")
    answer = client.post("/accounts/3rdparty/", {"account": account.pk})
    assert (answer.status_code, POINTER in answer.content.decode()) == (200, True)
    assert ada.socialaccount_set.count() == 2


def test_who_asks_for_a_new_password_is_mailed_the_pointer(acme: SSODomain, client: Client, ada: User):
    assert client.post("/accounts/password/reset/", {"email": PRIVATE}).status_code == 302
    (sent,) = mail.outbox
    assert sent.to == [PRIVATE]
    assert "people of acme.com sign in with Acme." in sent.body
    assert "/password/reset/" not in sent.body


def test_another_provider_that_knows_the_private_address_opens_nothing(acme: SSODomain, client: Client, ada: User):
    with ScriptedIssuer() as other:
        add_provider(other.issuer)
        answer = finish(client, other, email=PRIVATE)
        assert (answer.status_code, POINTER in answer.content.decode()) == (403, True)
        assert refusal(finish_over_the_api(client, other, email=PRIVATE)) == (403, "sso_required")
    assert (signed_in(client), ada.socialaccount_set.count()) == (None, 0)


def test_an_operator_with_a_second_factor_keeps_all_of_it(acme: SSODomain, client: Client, ada: User):
    User.objects.get_queryset().filter(pk=ada.pk).update(is_staff=True)
    Authenticator.objects.create(user=ada, type=Authenticator.Type.TOTP, data={"secret": "sealed"})
    assert "/2fa/authenticate/" in log_in(client, PRIVATE)["Location"]
