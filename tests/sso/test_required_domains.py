"""Domains whose people sign in with their provider and with nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
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
