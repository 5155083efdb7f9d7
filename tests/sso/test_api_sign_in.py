"""Signing in with a provider over the API: Google's names, OpenID Connect's names, every prefix."""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from allauth.socialaccount.models import SocialAccount
from django.test import Client

from apps.accounts.models import User
from apps.accounts.tokens import verify_access_token
from apps.audit.models import AuditEvent
from apps.sso.models import IdentityProvider, ProviderKind, SignInAttempt, SSODomain
from tests.jwt_corpus import rsa_signer, sign
from tests.parts.issuer import ScriptedIssuer, answer_at, put_user
from tests.sso.conftest import add_provider, add_user

TOKENS = {"access_token", "refresh_token", "token_type", "expires_in"}
ADA = {"email": "ada@example.com", "email_verified": True, "name": "Ada Lovelace"}
FORMS = [("google", "google/login", "url", "google/callback"), ("oidc", "login", "authorization_url", "callback")]


def begin(client: Client, path: str = "/v1/auth/login", **query: str) -> dict[str, Any]:
    answer = client.get(path, query)
    assert answer.status_code == 200, answer.content
    return dict(answer.json())


def refusal(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def nothing_changed() -> bool:
    return not (User.objects.exists() or SocialAccount.objects.exists())


@pytest.mark.parametrize("prefix", ["/v1/auth", "/auth", "/llm/auth", "/api/v1/auth"])
@pytest.mark.parametrize(("kind", "login", "key", "callback"), FORMS)
def test_a_sign_in_ends_with_tokens(db, client: Client, mock: str, prefix, kind, login, key, callback):
    add_provider(mock, slug=kind, kind=kind)
    put_user(mock, "ada", **ADA)
    begun = begin(client, f"{prefix}/{login}")
    sent = answer_at(begun[key], "ada")
    assert sent["state"] == begun["state"]
    answer = client.get(f"{prefix}/{callback}", sent)
    assert (answer.status_code, set(answer.json())) == (200, TOKENS)
    assert answer["Cache-Control"] == "no-store"
    user = verify_access_token(answer.json()["access_token"]).user
    assert (user.email, user.name, user.is_guest) == ("ada@example.com", "Ada Lovelace", False)
    assert not client.cookies


def test_googles_answer_may_be_posted_by_a_web_client(db, client: Client, mock: str):
    add_provider(mock, slug="google", kind=ProviderKind.GOOGLE, callback_url="http://localhost:8080/auth/google")
    put_user(mock, "ada", **ADA)
    begun = begin(client, "/v1/auth/google/login")
    assert parse_qs(urlsplit(begun["url"]).query)["redirect_uri"] == ["http://localhost:8080/auth/google"]
    sent = {name: text for name, text in answer_at(begun["url"], "ada").items() if name in ("code", "state")}
    answer = client.post("/v1/auth/google/callback", json.dumps(sent), content_type="application/json")
    assert (answer.status_code, set(answer.json())) == (200, TOKENS)


def test_the_short_google_route_redirects(db, client: Client, mock: str):
    add_provider(mock, slug="google", kind=ProviderKind.GOOGLE)
    answer = client.get("/auth/google")
    assert (answer.status_code, answer["Location"].partition("?")[0]) == (302, f"{mock}/oauth2/authorize")


def test_what_the_provider_is_asked(db, client: Client, mock: str, settings):
    add_provider(mock, scopes="profile email groups")
    asked = dict(parse_qsl(urlsplit(begin(client)["authorization_url"]).query))
    assert {name: len(asked.pop(name)) >= 43 for name in ("state", "nonce", "code_challenge")} == {
        "state": True,
        "nonce": True,
        "code_challenge": True,
    }
    assert asked == {
        "response_type": "code",
        "client_id": "jan",
        "redirect_uri": f"{settings.PUBLIC_URL}/v1/auth/callback",
        "scope": "openid profile email groups",
        "code_challenge_method": "S256",
    }


@pytest.mark.parametrize("path", ["/v1/auth/login", "/v1/auth/google/login", "/auth/google"])
def test_without_a_provider_the_routes_say_so(db, client: Client, path):
    assert refusal(client.get(path)) == (404, "provider_not_configured")


def test_several_providers_are_told_apart_by_their_slugs(db, client: Client, mock: str, issuer: ScriptedIssuer):
    add_provider(mock, slug="acme")
    add_provider(issuer.issuer, slug="umbrella")
    assert refusal(client.get("/v1/auth/login")) == (400, "invalid_value")
    assert begin(client, provider="acme")["authorization_url"].startswith(mock)
    assert begin(client, provider="umbrella")["authorization_url"].startswith(issuer.issuer)
    assert refusal(client.get("/v1/auth/login", {"provider": "other"})) == (404, "provider_not_configured")
    add_provider("http://localhost:1", slug="google", kind=ProviderKind.GOOGLE)
    assert refusal(client.get("/v1/auth/login", {"provider": "google"})) == (404, "provider_not_configured")


# --- Where tokens may go --------------------------------------------------------------------------


def test_tokens_go_to_an_allowed_page_in_the_fragment(db, client: Client, mock: str, settings):
    settings.ALLOWED_CORS_HOSTS = ["http://localhost:8080"]
    add_provider(mock)
    put_user(mock, "ada", **ADA)
    begun = begin(client, redirect_url="http://localhost:8080/signed-in?a=1")
    answer = client.get("/v1/auth/callback", answer_at(begun["authorization_url"], "ada"))
    assert answer.status_code == 302
    page, _, fragment = answer["Location"].partition("#")
    given = dict(parse_qsl(fragment))
    assert (page, set(given), given["state"]) == (
        "http://localhost:8080/signed-in?a=1",
        TOKENS | {"state"},
        begun["state"],
    )
    assert (answer["Referrer-Policy"], answer["Cache-Control"]) == ("no-referrer", "no-store")
    assert verify_access_token(given["access_token"]).user.email == "ada@example.com"


@pytest.mark.parametrize(
    "url",
    [
        "https://attacker.test/", "http://localhost:8081/", "https://localhost:8080/", "//localhost:8080/",
        "http://localhost:8080@attacker.test/", "http://localhost:8080.attacker.test/", "javascript:alert(1)",
        "http://localhost:8080\\@attacker.test/", "http://localhost:8080/#x", "http://localhost:8080/a\r\nb", "",
        "/relative", "http://[::1", "http://localhost:8080/" + "a" * 2000, "http://attacker.test/http://localhost:8080",
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/v1/auth/login", "/v1/auth/google/login"])
def test_and_to_no_other(db, client: Client, mock: str, settings, path, url):
    settings.ALLOWED_CORS_HOSTS = ["http://localhost:8080"]
    add_provider(mock)
    add_provider(mock, slug="google", kind=ProviderKind.GOOGLE)
    assert refusal(client.get(path, {"redirect_url": url})) == (400, "redirect_not_allowed")
    assert not SignInAttempt.objects.exists()


# --- States ---------------------------------------------------------------------------------------


def test_a_state_is_good_once(db, client: Client, mock: str):
    add_provider(mock)
    put_user(mock, "ada", **ADA)
    sent = answer_at(begin(client)["authorization_url"], "ada")
    assert client.get("/v1/auth/callback", sent).status_code == 200
    before = AuditEvent.objects.count()
    assert refusal(client.get("/v1/auth/callback", sent)) == (400, "invalid_state")
    assert (User.objects.count(), AuditEvent.objects.count()) == (1, before)


def test_a_state_is_used_up_by_a_failure_as_well(db, client: Client, issuer: ScriptedIssuer):
    add_provider(issuer.issuer)
    state = begin(client)["state"]
    assert refusal(client.get("/v1/auth/callback", {"state": state, "code": "unknown"})) == (400, "invalid_grant")
    assert refusal(client.get("/v1/auth/callback", {"state": state, "code": "c"})) == (400, "invalid_state")
    assert nothing_changed()


def test_a_state_lives_ten_minutes(db, client: Client, issuer: ScriptedIssuer):
    add_provider(issuer.issuer)
    begun = begin(client)
    attempt = SignInAttempt.objects.get()
    assert 590 < attempt.expires_at.timestamp() - time.time() <= 600
    SignInAttempt.objects.update(expires_at=attempt.expires_at.replace(year=2000))
    assert refusal(client.get("/v1/auth/callback", {"state": begun["state"], "code": "c"})) == (400, "invalid_state")
    assert "/token" not in issuer.asked
    begin(client)
    begin(client)
    assert SignInAttempt.objects.count() == 2


def test_what_is_stored_of_a_state_does_not_prove_it(db, client: Client, issuer: ScriptedIssuer):
    add_provider(issuer.issuer)
    begin(client)
    digest = SignInAttempt.objects.get().digest
    assert refusal(client.get("/v1/auth/callback", {"state": digest, "code": "c"})) == (400, "invalid_state")


@pytest.mark.parametrize("state", ["made-up", "\x00", "ä" * 40, "x" * 512])
def test_a_made_up_state_is_refused(db, client: Client, issuer: ScriptedIssuer, state):
    add_provider(issuer.issuer)
    answer = client.get("/v1/auth/callback", {"state": state, "code": "c"})
    assert answer.status_code == 400
    assert issuer.asked == []


def test_a_state_of_another_provider_is_refused(db, client: Client, mock: str, issuer: ScriptedIssuer):
    add_provider(mock, slug="google", kind=ProviderKind.GOOGLE)
    add_provider(issuer.issuer)
    put_user(mock, "ada", **ADA)
    of_google = answer_at(begin(client, "/v1/auth/google/login")["url"], "ada")
    assert refusal(client.get("/v1/auth/callback", of_google)) == (400, "invalid_state")
    assert refusal(client.get("/v1/auth/google/callback", of_google)) == (400, "invalid_state")
    assert nothing_changed()
    assert "/token" not in issuer.asked


def test_a_provider_disabled_meanwhile_lets_nobody_in(db, client: Client, mock: str):
    add_provider(mock)
    put_user(mock, "ada", **ADA)
    sent = answer_at(begin(client)["authorization_url"], "ada")
    IdentityProvider.objects.update(is_enabled=False)
    assert refusal(client.get("/v1/auth/callback", sent)) == (400, "invalid_state")
    assert nothing_changed()


@pytest.mark.parametrize("supported", [True, False])
@pytest.mark.parametrize("iss", [None, "https://attacker.test", "", "own"])
def test_an_answer_has_to_be_of_the_provider_that_was_asked(db, client: Client, issuer: ScriptedIssuer, iss, supported):
    add_provider(issuer.issuer)
    issuer.metadata = {"authorization_response_iss_parameter_supported": supported}
    begun = begin(client)
    sent = {"state": begun["state"], "code": "unknown"}
    if iss is not None:
        sent["iss"] = issuer.issuer if iss == "own" else iss
    answer = client.get("/v1/auth/callback", sent)
    if iss == "own" or (iss is None and not supported):
        assert refusal(answer) == (400, "invalid_grant")
    else:
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == "iss"
        assert "/token" not in issuer.asked
    assert nothing_changed()


def test_somebody_who_declines_is_not_signed_in(db, client: Client, mock: str):
    add_provider(mock)
    sent = answer_at(begin(client)["authorization_url"], None)
    assert "error" in sent
    sent.setdefault("state", "")
    answer = client.get("/v1/auth/callback", sent)
    assert answer.status_code == 400
    assert nothing_changed()


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "state"),
        ({"state": "x", "code": "y", "extra": 1}, "extra"),
        ({"state": 5, "code": ["x"]}, "code"),
        ({"state": None, "code": "x"}, "state"),
        ([], None),
        ("x", None),
        ({"state": "x" * 513, "code": "x"}, "state"),
        ({"state": "x", "code": "x" * 4097}, "code"),
    ],
)
def test_odd_bodies_are_refused(db, client: Client, body, param):
    answer = client.post("/v1/auth/google/callback", json.dumps(body), content_type="application/json")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


# --- ID tokens ------------------------------------------------------------------------------------


def finish(client: Client, issuer: ScriptedIssuer, header: dict[str, Any] | None = None, **claims: Any) -> Any:
    """Sign in where the ID token is as it should be, but for what is given; a claim that is None is left out."""
    begun = begin(client)
    asked = dict(parse_qsl(urlsplit(begun["authorization_url"]).query))
    now = int(time.time())
    given = {"iss": issuer.issuer, "sub": "u-1", "aud": "jan", "iat": now, "exp": now + 300, "nonce": asked["nonce"]}
    given |= ADA | claims
    head = {"alg": "RS256", "kid": "first", **(header or {})}
    issuer.id_token = sign(head, {name: value for name, value in given.items() if value is not None}, issuer.signer)
    return client.get("/v1/auth/callback", {"state": begun["state"], "code": "c"})


def test_the_code_is_redeemed_with_the_secret_and_the_verifier(db, client: Client, issuer: ScriptedIssuer, settings):
    add_provider(issuer.issuer)
    assert finish(client, issuer).status_code == 200
    form = issuer.forms[0]
    assert (form["grant_type"], form["code"], form["redirect_uri"]) == (
        "authorization_code",
        "c",
        f"{settings.PUBLIC_URL}/v1/auth/callback",
    )
    assert len(form["code_verifier"]) >= 43
    assert form["authorization"].startswith("Basic ")
    assert "client_secret" not in form


def test_a_provider_that_wants_the_secret_in_the_body_gets_it_there(db, client: Client, issuer: ScriptedIssuer):
    issuer.metadata = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    add_provider(issuer.issuer)
    assert finish(client, issuer).status_code == 200
    assert (issuer.forms[0]["client_secret"], issuer.forms[0]["authorization"]) == ("client-secret-0001", "")


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"}, {"nonce": None}, {"nonce": 5}, {"aud": "another"}, {"aud": None}, {"aud": ["a", "b"]},
        {"aud": ["jan", "b"], "azp": "b"}, {"iss": "https://attacker.test"}, {"iss": None}, {"exp": 1}, {"exp": None},
        {"sub": None}, {"sub": ""}, {"sub": 5}, {"sub": "x" * 192}, {"iat": int(time.time()) + 3600},
    ],
)  # fmt: skip
def test_an_id_token_that_does_not_answer_the_question_is_refused(db, client: Client, issuer: ScriptedIssuer, claims):
    add_provider(issuer.issuer)
    assert refusal(finish(client, issuer, **claims)) == (400, "invalid_id_token")
    assert nothing_changed()


@pytest.mark.parametrize("header", [{"alg": "none"}, {"alg": "HS256"}, {"crit": ["x"]}, {"typ": "at+jwt"}, {"jwk": {}}])
def test_an_id_token_of_another_form_is_refused(db, client: Client, issuer: ScriptedIssuer, header):
    add_provider(issuer.issuer)
    assert refusal(finish(client, issuer, header)) == (400, "invalid_id_token")
    assert nothing_changed()


def test_an_id_token_signed_by_a_stranger_is_refused(db, client: Client, issuer: ScriptedIssuer):
    add_provider(issuer.issuer)
    issuer.signer = rsa_signer("first")
    assert refusal(finish(client, issuer)) == (400, "invalid_id_token")
    assert nothing_changed()


@pytest.mark.parametrize(("subject", "status"), [("u-1", 200), ("u-2", 403), (None, 403)])
def test_an_address_may_stand_at_the_userinfo_endpoint_of_the_same_person(
    db, client: Client, issuer: ScriptedIssuer, subject, status
):
    add_provider(issuer.issuer)
    issuer.userinfo = {"sub": subject, **ADA}
    answer = finish(client, issuer, email=None, email_verified=None)
    assert answer.status_code == status


@pytest.mark.parametrize("status", ["down", "unknown"])
def test_a_provider_that_fails_is_no_error_of_ours(db, client: Client, issuer: ScriptedIssuer, status):
    add_provider(issuer.issuer)
    begun = begin(client)
    issuer.is_down = True
    answer = client.get("/v1/auth/callback", {"state": begun["state"], "code": "c"})
    assert refusal(answer) == (502, "upstream_error")
    assert nothing_changed()


def test_nobody_begins_where_the_provider_cannot_be_asked(db, client: Client, issuer: ScriptedIssuer):
    add_provider(issuer.issuer)
    issuer.is_down = True
    answer = client.get("/v1/auth/login")
    assert refusal(answer) == (503, "identity_provider_unavailable")
    assert answer["Retry-After"] == "10"
    assert not SignInAttempt.objects.exists()


# --- Whose account --------------------------------------------------------------------------------


@pytest.mark.parametrize("verified", [False, None, "true", 1])
def test_an_address_the_provider_did_not_verify_lets_nobody_in(db, client: Client, issuer: ScriptedIssuer, verified):
    add_provider(issuer.issuer)
    answers = [finish(client, issuer, email_verified=verified)]
    add_user("ada@example.com")
    answers.append(finish(client, issuer, email_verified=verified))
    assert [refusal(answer) for answer in answers] == [(403, "email_not_verified")] * 2
    assert answers[0].json()["error"]["message"] == answers[1].json()["error"]["message"]
    assert not SocialAccount.objects.exists()


@pytest.mark.parametrize("verified", [False, None])
def test_an_address_counts_where_the_operator_trusts_the_provider(db, client: Client, issuer: ScriptedIssuer, verified):
    add_provider(issuer.issuer, trusts_email=True)
    ada = add_user("ada@example.com")
    assert finish(client, issuer, email_verified=verified).status_code == 200
    assert SocialAccount.objects.get().user == ada


JOINS = [
    ({}, {}, 200),  # verified on both sides
    ({"verified": False}, {}, 409),  # only claimed here
    ({"is_staff": True}, {}, 409),  # an operator's
    ({"is_active": False}, {}, 409),  # disabled
    ({}, {"email": "ADA@Example.com"}, 200),  # spelled otherwise
    ({}, {"email": "ada@example.com.attacker.test"}, 200),  # another address: an account of its own
]


@pytest.mark.parametrize(("here", "there", "status"), JOINS)
def test_when_accounts_are_joined(db, client: Client, issuer: ScriptedIssuer, here, there, status):
    add_provider(issuer.issuer)
    ada = add_user("ada@example.com", **here)
    answer = finish(client, issuer, **there)
    assert answer.status_code == status
    is_joined = SocialAccount.objects.filter(user=ada).exists()
    assert is_joined == (status == 200 and "attacker" not in there.get("email", ""))
    if status == 409:
        assert refusal(answer) == (409, "account_exists")
        assert User.objects.count() == 1
    ada.refresh_from_db()
    assert ada.check_password("analytical-engine-1")


def test_a_joined_account_stays_joined_when_the_address_changes(db, client: Client, issuer: ScriptedIssuer):
    add_provider(issuer.issuer)
    ada = add_user("ada@example.com")
    assert finish(client, issuer).status_code == 200
    answer = finish(client, issuer, email="ada@elsewhere.test", email_verified=False)
    assert verify_access_token(answer.json()["access_token"]).user.pk == ada.pk
    assert SocialAccount.objects.get().user_id == ada.pk


def test_a_disabled_account_is_refused(db, client: Client, issuer: ScriptedIssuer):
    add_provider(issuer.issuer)
    finish(client, issuer)
    User.objects.get_queryset().update(is_active=False)
    assert refusal(finish(client, issuer)) == (403, "account_disabled")


@pytest.mark.parametrize(("mode", "required", "status"), [
    ("open", False, 200), ("invitation", False, 403), ("closed", False, 403), ("invitation", True, 200), ("closed", True, 403),
])  # fmt: skip
def test_who_may_sign_up(db, client: Client, issuer: ScriptedIssuer, settings, mode, required, status):
    row = add_provider(issuer.issuer)
    owner = add_user("owner@acme.com")
    if required:
        organization = owner.memberships.get().organization
        SSODomain.objects.create(organization=organization, domain="example.com", provider=row)
    settings.SIGNUP = mode
    answer = finish(client, issuer)
    assert answer.status_code == status
    if status == 403:
        assert refusal(answer) == (403, "signup_closed")
    assert User.objects.count() == 1 + (status == 200)


def test_a_sign_in_is_audited(db, client: Client, issuer: ScriptedIssuer):
    add_provider(issuer.issuer)
    finish(client, issuer)
    finish(client, issuer, sub="u-2", email_verified=False)
    failed = AuditEvent.objects.get(action="login.failed")
    assert (failed.actor_kind, failed.details) == ("anonymous", {"provider": "oidc", "reason": "email_not_verified"})
    event = AuditEvent.objects.get(action="login.succeeded")
    assert (event.actor_label, event.details) == ("ada@example.com", {"methods": ["socialaccount"], "provider": "oidc"})
