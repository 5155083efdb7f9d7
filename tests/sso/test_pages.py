"""Signing in with a provider on the pages: allauth's flows with our rows."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp
from django.core import mail
from django.test import Client

from apps.accounts.invitations import send_invitation
from apps.accounts.models import Invitation, User
from apps.audit.models import AuditEvent
from apps.audit.services import SYSTEM
from apps.organizations.models import Membership
from apps.projects.services import create_organization
from apps.sso.models import IdentityProvider, ProviderKind
from tests.jwt_corpus import sign
from tests.mailbox import link_in
from tests.parts.issuer import ScriptedIssuer, answer_at, put_user
from tests.sso.conftest import add_provider, add_user

ADA = {"email": "ada@example.com", "email_verified": True, "name": "Ada Lovelace"}
SIGN_IN = "apps.accounts.backends.ProvenAddressBackend"


def begin(client: Client, slug: str = "oidc", **query: str) -> str:
    """Choose a provider and confirm; returns where the browser is sent."""
    answer = client.post(f"/accounts/sso/{slug}/", query_params=query)
    assert answer.status_code == 302, answer.content
    return str(answer["Location"])


def finish(client: Client, issuer: ScriptedIssuer, slug: str = "oidc", query: Any = None, **claims: Any) -> Any:
    """Sign in where the ID token is as it should be, but for what is given; a claim that is None is left out."""
    asked = dict(parse_qsl(urlsplit(begin(client, slug, **(query or {}))).query))
    now = int(time.time())
    given = {"iss": issuer.issuer, "sub": "u-1", "aud": "jan", "iat": now, "exp": now + 300, "nonce": asked["nonce"]}
    given |= ADA | claims
    kept = {name: value for name, value in given.items() if value is not None}
    issuer.id_token = sign({"alg": "RS256", "kid": "first"}, kept, issuer.signer)
    return client.get(f"/accounts/sso/{slug}/callback/", {"state": asked["state"], "code": "c"})


def signed_in(client: Client) -> str | None:
    return client.session.get("_auth_user_id")


@pytest.mark.parametrize("kind", [ProviderKind.GOOGLE, ProviderKind.OIDC])
def test_a_person_signs_in_from_the_sign_in_page(db, client: Client, mock: str, settings, kind):
    add_provider(mock, slug="acme", kind=kind)
    put_user(mock, "ada", **ADA)
    page = client.get("/accounts/login/").content.decode()
    assert "/accounts/sso/acme/?process=login" in page
    assert "Acme" in page
    confirm = client.get("/accounts/sso/acme/", {"process": "login"})
    assert f"form-action 'self' {mock}" in confirm["Content-Security-Policy"]
    url = begin(client, "acme")
    asked = parse_qs(urlsplit(url).query)
    assert asked["redirect_uri"] == [f"{settings.PUBLIC_URL}/accounts/sso/acme/callback/"]
    assert {"nonce", "code_challenge", "state"} <= asked.keys()
    answer = client.get("/accounts/sso/acme/callback/", answer_at(url, "ada"))
    assert answer.status_code == 302
    user = User.objects.get()
    assert (signed_in(client), user.email, user.name) == (user.pk, "ada@example.com", "Ada Lovelace")
    assert SocialAccount.objects.get().extra_data == {"sub": "ada", "email": "ada@example.com", "name": "Ada Lovelace"}
    assert not SocialApp.objects.exists()
    actions = set(AuditEvent.objects.values_list("action", flat=True))
    assert {"user.added", "user.identity_connected", "login.succeeded"} <= actions


def test_the_second_time_it_is_the_same_account(db, client: Client, issuer: ScriptedIssuer):
    add_provider(issuer.issuer)
    finish(client, issuer)
    other = Client()
    finish(other, issuer, email="ada@elsewhere.test")
    assert User.objects.count() == 1
    assert signed_in(client) == signed_in(other) is not None


def test_nobody_is_sent_anywhere_by_a_link(db, client: Client, issuer: ScriptedIssuer):
    add_provider(issuer.issuer)
    answer = client.get("/accounts/sso/oidc/")
    assert (answer.status_code, b"Continue to Oidc" in answer.content) == (200, True)


@pytest.mark.parametrize("change", [{"is_enabled": False}, {"client_id": ""}])
@pytest.mark.parametrize("page", ["", "callback/"])
def test_a_provider_that_signs_nobody_in_has_no_pages(db, client: Client, issuer: ScriptedIssuer, change, page):
    add_provider(issuer.issuer, **change)
    assert client.get(f"/accounts/sso/oidc/{page}").status_code == 404
    assert client.get(f"/accounts/sso/unknown/{page}").status_code == 404
    assert b"/accounts/sso/" not in client.get("/accounts/login/").content


# --- What comes back ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "another"},
        {"iss": "https://attacker.test"},
        {"exp": 1},
        {"sub": 5},
    ],
)
def test_an_id_token_that_does_not_answer_the_question_is_refused(db, client: Client, issuer: ScriptedIssuer, claims):
    add_provider(issuer.issuer)
    answer = finish(client, issuer, **claims)
    assert (answer.status_code, signed_in(client)) == (401, None)
    assert not User.objects.exists()


def test_a_state_is_good_once_and_in_the_browser_it_was_made_for(db, client: Client, issuer: ScriptedIssuer):
    add_provider(issuer.issuer)
    state = parse_qs(urlsplit(begin(client)).query)["state"][0]
    sent = {"state": state, "code": "unknown"}
    assert Client().get("/accounts/sso/oidc/callback/", sent).status_code == 401
    assert "/token" not in issuer.asked
    assert client.get("/accounts/sso/oidc/callback/", sent).status_code == 401
    assert issuer.asked.count("/token") == 1
    assert client.get("/accounts/sso/oidc/callback/", sent).status_code == 401
    assert issuer.asked.count("/token") == 1


def test_a_state_of_another_provider_is_refused(db, client: Client, issuer: ScriptedIssuer, mock: str):
    add_provider(issuer.issuer)
    add_provider(mock, slug="other")
    state = parse_qs(urlsplit(begin(client, "other")).query)["state"][0]
    assert client.get("/accounts/sso/oidc/callback/", {"state": state, "code": "c"}).status_code == 401
    assert "/token" not in issuer.asked


def test_an_answer_of_another_issuer_is_refused(db, client: Client, issuer: ScriptedIssuer):
    add_provider(issuer.issuer)
    state = parse_qs(urlsplit(begin(client)).query)["state"][0]
    sent = {"state": state, "code": "c", "iss": "https://attacker.test"}
    assert client.get("/accounts/sso/oidc/callback/", sent).status_code == 401
    assert "/token" not in issuer.asked


def test_somebody_who_declines_comes_to_a_page_that_says_so(db, client: Client, issuer: ScriptedIssuer):
    add_provider(issuer.issuer)
    state = parse_qs(urlsplit(begin(client)).query)["state"][0]
    answer = client.get("/accounts/sso/oidc/callback/", {"state": state, "error": "access_denied"}, follow=True)
    assert "Sign-in cancelled" in answer.content.decode()


def test_a_provider_that_is_down_is_a_page_and_no_error_of_ours(db, client: Client, issuer: ScriptedIssuer):
    add_provider(issuer.issuer)
    issuer.is_down = True
    for answer in (client.get("/accounts/sso/oidc/"), client.post("/accounts/sso/oidc/")):
        assert (answer.status_code, "cannot be asked" in answer.content.decode()) == (503, True)


# --- Whose account --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("here", "there", "status"),
    [
        ({}, {}, 302),
        ({"verified": False}, {}, 409),
        ({"is_staff": True}, {}, 409),
        ({"is_active": False}, {}, 409),
        ({}, {"email_verified": False}, 403),
        ({}, {"email_verified": "true"}, 403),
        ({}, {"email": None}, 403),
        ({"verified": False}, {"email_verified": False}, 403),
    ],
)
def test_when_accounts_are_joined(db, client: Client, issuer: ScriptedIssuer, here, there, status):
    add_provider(issuer.issuer)
    ada = add_user("ada@example.com", **here)
    answer = finish(client, issuer, **there)
    assert answer.status_code == status
    assert signed_in(client) == (ada.pk if status == 302 else None)
    assert SocialAccount.objects.filter(user=ada).exists() == (status == 302)
    assert User.objects.count() == 1
    if status != 302:
        page = answer.content.decode()
        assert "/accounts/login/" in page
        assert "/accounts/3rdparty/" in page
        assert AuditEvent.objects.filter(action="login.failed", details__provider="oidc").exists()


@pytest.mark.parametrize(
    ("mode", "invited", "made"),
    [("open", None, True), ("closed", None, False), ("invitation", None, False),
     ("invitation", "ada@example.com", True), ("invitation", "bob@example.com", False)],
)  # fmt: skip
def test_the_sign_up_mode_is_for_providers_too(
    db, client: Client, issuer: ScriptedIssuer, settings, mode, invited, made, django_capture_on_commit_callbacks
):
    add_provider(issuer.issuer)
    settings.SIGNUP = mode
    if invited:
        with django_capture_on_commit_callbacks(execute=True):
            send_invitation(email=invited, actor=SYSTEM)
        client.get(link_in(str(mail.outbox[-1].body)))
    answer = finish(client, issuer)
    assert (answer.status_code, User.objects.exists()) == ((302, True) if made else (403, False))
    used = "accepted" if made else "pending"
    assert [invitation.state for invitation in Invitation.objects.all()] == ([used] if invited else [])


def test_a_disabled_account_is_told_so(db, client: Client, issuer: ScriptedIssuer):
    add_provider(issuer.issuer)
    finish(client, issuer)
    User.objects.get_queryset().update(is_active=False)
    other = Client()
    assert (finish(other, issuer).status_code, signed_in(other)) == (403, None)


def test_a_second_factor_registered_here_is_asked_for(db, client: Client, issuer: ScriptedIssuer):
    add_provider(issuer.issuer)
    ada = add_user("ada@example.com")
    Authenticator.objects.create(user=ada, type=Authenticator.Type.TOTP, data={"secret": "sealed"})
    answer = finish(client, issuer)
    assert (answer.status_code, "/2fa/authenticate/" in answer["Location"]) == (302, True)
    assert signed_in(client) is None


def test_claims_give_the_membership_on_pages_too(db, client: Client, issuer: ScriptedIssuer):
    acme = create_organization(name="Acme", owner=add_user("owner@acme.com"))
    add_provider(issuer.issuer, organization=acme, role_claim="role", roles={"a": "admin", "v": "viewer"})
    finish(client, issuer, role="a")
    user = signed_in(client)
    assert Membership.objects.get(organization=acme, user=user).role == "admin"
    finish(Client(), issuer, role="v")
    assert Membership.objects.get(organization=acme, user=user).role == "viewer"


# --- Connections ----------------------------------------------------------------------------------


def sign_in(client: Client, user: User) -> None:
    answer = client.post("/accounts/login/", {"login": user.email, "password": "analytical-engine-1"})
    assert answer.status_code == 302, answer.content


def confirm_it_is_me(client: Client) -> Any:
    return client.post("/accounts/reauthenticate/", {"password": "analytical-engine-1"})


def test_somebody_signed_in_connects_a_provider_and_disconnects_it(db, client: Client, issuer: ScriptedIssuer):
    add_provider(issuer.issuer)
    ada = add_user("ada@example.com")
    sign_in(client, ada)
    answer = finish(client, issuer, query={"process": "connect"}, email="other@example.com", email_verified=False)
    assert (answer["Location"], SocialAccount.objects.exists()) == ("/accounts/reauthenticate/", False)
    assert confirm_it_is_me(client)["Location"] == "/accounts/3rdparty/"
    account = SocialAccount.objects.get(user=ada)
    page = client.get("/accounts/3rdparty/").content.decode()
    assert "Oidc is connected." in page
    assert "Disconnect Oidc" in page
    client.post("/accounts/3rdparty/", {"account": account.pk})
    assert not SocialAccount.objects.exists()
    events = AuditEvent.objects.filter(action__startswith="user.identity_").order_by("id")
    assert list(events.values_list("action", "actor_id")) == [
        ("user.identity_connected", ada.pk),
        ("user.identity_disconnected", ada.pk),
    ]


def test_an_identity_of_somebody_else_is_not_taken_over(db, client: Client, issuer: ScriptedIssuer):
    add_provider(issuer.issuer)
    finish(Client(), issuer)
    bob = add_user("bob@example.com")
    sign_in(client, bob)
    confirm_it_is_me(client)
    finish(client, issuer, query={"process": "connect"})
    assert not SocialAccount.objects.filter(user=bob).exists()
    assert "connected to another account" in client.get("/accounts/3rdparty/").content.decode()


def test_connecting_never_joins_by_address(db, client: Client, issuer: ScriptedIssuer):
    add_provider(issuer.issuer)
    ada, bob = add_user("ada@example.com"), add_user("bob@example.com")
    sign_in(client, bob)
    confirm_it_is_me(client)
    finish(client, issuer, query={"process": "connect"})
    assert [each.user_id for each in SocialAccount.objects.all()] == [bob.pk]
    assert not SocialAccount.objects.filter(user=ada).exists()


def test_the_only_way_in_is_not_disconnected(db, client: Client, issuer: ScriptedIssuer):
    add_provider(issuer.issuer)
    finish(client, issuer)
    answer = client.post("/accounts/3rdparty/", {"account": SocialAccount.objects.get().pk})
    assert answer.status_code == 200
    assert SocialAccount.objects.exists()


def test_accounts_of_a_disabled_provider_are_still_shown(db, client: Client, issuer: ScriptedIssuer):
    add_provider(issuer.issuer)
    finish(client, issuer)
    IdentityProvider.objects.update(is_enabled=False)
    page = client.get("/accounts/3rdparty/")
    assert (page.status_code, b"ada@example.com" in page.content) == (200, True)


def test_joining_an_account_is_mailed_to_its_owner(db, client: Client, issuer: ScriptedIssuer, settings):
    settings.ACCOUNT_EMAIL_NOTIFICATIONS = True
    add_provider(issuer.issuer)
    add_user("ada@example.com")
    finish(client, issuer)
    assert [(each.to, each.subject) for each in mail.outbox] == [
        (["ada@example.com"], "Oidc was connected to your account")
    ]
