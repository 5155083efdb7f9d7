"""Access tokens of other issuers at the API."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount
from cryptography.hazmat.primitives.asymmetric import ec
from django.db import connections

from apps.accounts.models import User
from apps.accounts.sessions import actor_of
from apps.api_keys.authentication import Credentials, resolve
from apps.api_keys.cache import PrincipalCache
from apps.api_keys.services import Holder, create_key
from apps.api_keys.tokens import KeyKind
from apps.audit.models import AuditEvent
from apps.core.errors import AppError, ServiceUnavailable, Unauthenticated
from apps.core.freshness import Watch
from apps.organizations.models import Membership, Organization
from apps.organizations.principal import Principal
from apps.projects.models import Project
from apps.projects.services import create_organization
from apps.sso import remote
from apps.sso.keys import key_for
from tests.jwt_corpus import Genuine, ec_signer, forgeries, rsa_signer, valid_token
from tests.parts.issuer import ScriptedIssuer
from tests.sso.conftest import add_provider, add_user

FORMS = 130


def accept(issuer: ScriptedIssuer, **fields):
    return add_provider(issuer.issuer, **{"accepts_access_tokens": True, "audiences": ["jan"], **fields})


def whose(token: str, **wanted: str) -> Principal:
    principal = resolve(Credentials(bearer=token, **wanted))
    assert principal is not None
    return principal


def code_of(token: str) -> str:
    with pytest.raises(AppError) as refusal:
        resolve(Credentials(bearer=token))
    return refusal.value.code


def user_of(token: str) -> User:
    return User.objects.get(pk=whose(token).user_id)


@pytest.mark.parametrize("kind", ["RS256", "ES256"])
def test_no_forged_token_is_accepted(db, issuer: ScriptedIssuer, kind: str):
    issuer.signer = rsa_signer("rsa-1") if kind == "RS256" else ec_signer("ec-1")
    issuer.keys = [issuer.signer.public_jwk]
    accept(issuer)
    now = int(time.time())
    claims = {"iss": issuer.issuer, "sub": "u-1", "aud": "jan", "azp": "jan", "iat": now, "exp": now + 300}
    genuine = Genuine(
        header={"alg": kind, "kid": issuer.signer.kid, "typ": "JWT"},
        claims=claims,
        signer=issuer.signer,
        audience_claims=("aud", "azp"),
        required=("iss", "sub", "exp"),
    )
    forms = list(forgeries(genuine))
    assert len(forms) >= FORMS
    accepted = []
    for name, token in forms:
        try:
            resolve(Credentials(bearer=token))
            accepted.append(name)
        except Unauthenticated:
            pass
    assert accepted == []
    assert User.objects.count() == 0
    assert whose(valid_token(genuine)).auth_method == "jwt"


@pytest.mark.parametrize(
    "claims",
    [
        {"typ": "ID"},
        {"typ": "Refresh"},
        {"typ": "Logout"},
        {"token_use": "id"},
        {"at_hash": "x"},
        {"c_hash": "x"},
        {"events": {}},
    ],
)
def test_an_issuers_other_tokens_are_no_access_tokens(db, issuer: ScriptedIssuer, claims):
    accept(issuer)
    assert code_of(issuer.access_token(**claims)) == "invalid_token"
    assert User.objects.count() == 0


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"aud": ["account", "jan"]},
        {"aud": "account", "azp": "jan"},
        {"aud": None, "azp": "jan"},
        {"typ": "Bearer"},
        {"exp": -20},
        {"nbf": 20},
    ],
)
def test_tokens_of_usual_shapes_are(db, issuer: ScriptedIssuer, claims):
    accept(issuer)
    claims = {
        name: value if isinstance(value, str | list | None) else time.time() + value for name, value in claims.items()
    }
    assert whose(issuer.access_token(**claims)).is_guest is False


@pytest.mark.parametrize("typ", ["at+jwt", "application/at+jwt", "AT+JWT", None])
def test_rfc_9068s_types_are_taken_and_none_as_well(db, issuer: ScriptedIssuer, typ):
    accept(issuer)
    header = {"alg": "RS256", "kid": "first"} | ({"typ": typ} if typ else {})
    assert whose(issuer.access_token(header=header)).auth_method == "jwt"


def test_without_a_key_id_the_only_key_counts_and_of_several_none(db, issuer: ScriptedIssuer):
    accept(issuer)
    token = issuer.access_token(header={"alg": "RS256"})
    assert whose(token).auth_method == "jwt"
    issuer.keys = [issuer.signer.public_jwk, rsa_signer("second").public_jwk]
    other = ScriptedIssuer()
    other.signer, other.keys = issuer.signer, issuer.keys
    with other:
        accept(other, slug="other")
        assert code_of(other.access_token(header={"alg": "RS256"})) == "invalid_token"


@pytest.mark.parametrize(
    "change",
    [
        {"use": "enc"},
        {"key_ops": ["sign"]},
        {"alg": "RS512"},
        {"alg": "HS256"},
        {"kty": "oct", "k": "c2VjcmV0"},
        {"n": "AQAB"},
        {"n": 5},
        {"e": None},
    ],
)
def test_a_published_key_for_something_else_verifies_nothing(db, issuer: ScriptedIssuer, change):
    accept(issuer)
    issuer.keys = [{**issuer.signer.public_jwk, **change}]
    assert code_of(issuer.access_token()) == "invalid_token"


@pytest.mark.parametrize(
    "signer", [rsa_signer("weak", bits=1024), ec_signer("p384", algorithm="ES384", curve=ec.SECP384R1())]
)
def test_weak_keys_and_other_curves_verify_nothing(db, issuer: ScriptedIssuer, signer):
    accept(issuer)
    issuer.keys = [{name: value for name, value in signer.public_jwk.items() if name != "alg"}]
    assert code_of(issuer.access_token(signer)) == "invalid_token"


def test_first_sight_makes_the_account_and_the_second_finds_it(db, issuer: ScriptedIssuer):
    accept(issuer)
    claims = {"email": "Ada@Example.com", "email_verified": True, "name": "Ada Lovelace"}
    first, second = user_of(issuer.access_token(**claims)), user_of(issuer.access_token())
    assert (first.pk, first.email, first.name) == (second.pk, "ada@example.com", "Ada Lovelace")
    assert not first.has_usable_password()
    assert EmailAddress.objects.get(user=first).verified
    assert [(each.provider, each.uid) for each in SocialAccount.objects.all()] == [("oidc", "u-1")]
    assert list(AuditEvent.objects.order_by("id").values_list("action", flat=True)) == [
        "user.added",
        "user.identity_connected",
    ]


@pytest.mark.parametrize("verified", [False, None, "true", 1])
def test_an_address_the_issuer_did_not_verify_is_nobodys(db, issuer: ScriptedIssuer, verified):
    accept(issuer)
    ada = add_user("ada@example.com")
    met = user_of(issuer.access_token(email="ada@example.com", email_verified=verified))
    assert (met.pk == ada.pk, met.email) == (False, None)
    assert EmailAddress.objects.filter(user=met).count() == 0


def test_an_account_is_joined_over_an_address_verified_on_both_sides(db, issuer: ScriptedIssuer):
    accept(issuer)
    ada = add_user("ada@example.com")
    assert user_of(issuer.access_token(email="ada@example.com", email_verified=True)).pk == ada.pk
    ada.refresh_from_db()
    assert ada.check_password("analytical-engine-1")


@pytest.mark.parametrize(
    ("verified", "fields"), [(False, {}), (True, {"is_staff": True}), (True, {"is_active": False})]
)
def test_an_account_only_claimed_here_an_operators_and_a_disabled_one_are_not_joined(
    db, issuer: ScriptedIssuer, verified, fields
):
    accept(issuer)
    ada = add_user("ada@example.com", verified=verified, **fields)
    met = user_of(issuer.access_token(email="ada@example.com", email_verified=True))
    assert (met.pk == ada.pk, met.email) == (False, None)
    assert User.objects.get(pk=ada.pk).email == "ada@example.com"


def test_the_mapping_says_where_email_and_name_stand(db, issuer: ScriptedIssuer):
    accept(issuer, email_claim="contact.mail", name_claim="display")
    user = user_of(issuer.access_token(contact={"mail": "ada@example.com"}, email_verified=True, display="Ada"))
    assert (user.email, user.name) == ("ada@example.com", "Ada")


def test_an_address_has_one_spelling_at_providers_too(db, issuer: ScriptedIssuer):
    accept(issuer)
    user = user_of(issuer.access_token(email="Ada@ｃorp.test", email_verified=True))
    assert user.email == "ada@corp.test"


@pytest.mark.parametrize(
    "email", ["a\x00b@example.com", "a@exam\u2028ple.de", "no address", "x" * 250 + "@example.com", 5, ["a@b.c"], {}]
)
def test_odd_addresses_and_names_are_no_error(db, issuer: ScriptedIssuer, email):
    accept(issuer)
    user = user_of(issuer.access_token(email=email, email_verified=True, name="A\x00" + "d" * 300))
    assert (user.email, user.name) == (None, "A " + "d" * 148)


def test_a_disabled_user_and_a_disabled_provider_are_refused(db, issuer: ScriptedIssuer):
    row = accept(issuer)
    token = issuer.access_token()
    user = user_of(token)
    User.objects.get_queryset().filter(pk=user.pk).update(is_active=False)
    assert code_of(token) == "invalid_token"
    User.objects.get_queryset().filter(pk=user.pk).update(is_active=True)
    assert user_of(token).pk == user.pk
    row.is_enabled = False
    row.save()
    assert code_of(token) == "invalid_token"


def test_a_provider_for_sign_in_only_opens_nothing_with_its_tokens(db, issuer: ScriptedIssuer):
    add_provider(issuer.issuer)
    assert code_of(issuer.access_token()) == "invalid_token"
    assert issuer.asked == []


# --- Membership -----------------------------------------------------------------------------------


@pytest.fixture
def acme(db) -> Organization:
    return create_organization(name="Acme", owner=add_user("owner@acme.com"))


def role_in(organization: Organization, user_id: str) -> str | None:
    return Membership.objects.filter(organization=organization, user=user_id).values_list("role", flat=True).first()


def test_without_a_role_claim_everybody_becomes_a_member(issuer: ScriptedIssuer, acme):
    accept(issuer, organization=acme)
    principal = whose(issuer.access_token())
    assert role_in(acme, principal.user_id) == "member"
    token = issuer.access_token(jti="again")
    assert whose(token, organization=acme.public_id).organization_public_id == acme.public_id


@pytest.mark.parametrize(
    ("stated", "role"),
    [
        (["jan-viewer"], "viewer"),
        (["x", "jan-viewer", "jan-admin"], "admin"),
        ("jan-member", "member"),
        (["nothing"], None),
        ([], None),
        (None, None),
        ([{"a": 1}, 5], None),
        (["jan-owner"], None),
    ],
)
def test_the_role_comes_from_the_claim(issuer: ScriptedIssuer, acme, stated, role):
    mapping = {"jan-admin": "admin", "jan-member": "member", "jan-viewer": "viewer", "jan-owner": "owner"}
    accept(issuer, organization=acme, role_claim="realm_access.roles", roles=mapping)
    token = issuer.access_token(realm_access={"roles": stated})
    assert role_in(acme, whose(token).user_id) == role


def test_a_changed_claim_changes_the_role_and_a_missing_one_ends_it(issuer: ScriptedIssuer, acme):
    accept(issuer, organization=acme, role_claim="role", roles={"a": "admin", "v": "viewer"})
    user = whose(issuer.access_token(role="a")).user_id
    roles = [role_in(acme, user)]
    for role in ("v", "gone"):
        whose(issuer.access_token(role=role))
        roles.append(role_in(acme, user))
    assert roles == ["admin", "viewer", None]
    events = AuditEvent.objects.in_organization(acme.public_id).order_by("id")
    assert [(event.action, event.details.get("role")) for event in events] == [
        ("organization.created", None),
        ("user.added", "admin"),
        ("user.updated", ["admin", "viewer"]),
        ("user.deleted", "viewer"),
    ]


def test_an_owner_stays_one_whatever_the_claims_say(issuer: ScriptedIssuer, acme):
    accept(issuer, organization=acme, role_claim="role", roles={"v": "viewer"})
    owner = Membership.objects.get(organization=acme).user
    for role in ("v", "gone"):
        assert user_of(issuer.access_token(role=role, email="owner@acme.com", email_verified=True)).pk == owner.pk
        assert role_in(acme, owner.pk) == "owner"


# --- Keys -----------------------------------------------------------------------------------------


class Clock:
    """Stands in for `time.monotonic` where the age of what is remembered is read."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(remote, "time", clock)
    return clock


def test_an_unknown_key_id_is_asked_for_and_the_next_not_before_ten_seconds(db, issuer: ScriptedIssuer, clock):
    accept(issuer)
    whose(issuer.access_token())
    second, third = rsa_signer("second"), rsa_signer("third")
    issuer.keys.append(second.public_jwk)
    assert whose(issuer.access_token(second)).auth_method == "jwt"
    issuer.keys.append(third.public_jwk)
    for signer in (third, *(rsa_signer(f"made-up-{number}") for number in range(3))):
        assert code_of(issuer.access_token(signer)) == "invalid_token"
    assert issuer.asked.count("/jwks") == 2
    clock.now += 10
    assert whose(issuer.access_token(third)).auth_method == "jwt"
    assert issuer.asked.count("/jwks") == 3


def test_many_tokens_with_one_unknown_key_id_ask_once(db, issuer: ScriptedIssuer, clock):
    accept(issuer)
    for number in range(20):
        assert code_of(issuer.access_token(rsa_signer(f"made-up-{number}"))) == "invalid_token"
    assert issuer.asked.count("/jwks") == 2  # the first time, and once more for the first name


def test_keys_are_asked_for_again_after_five_minutes_and_a_withdrawn_one_is_no_longer_good(
    db, issuer: ScriptedIssuer, clock
):
    accept(issuer)
    token = issuer.access_token()
    whose(token)
    issuer.keys = [rsa_signer("second").public_jwk]
    assert whose(token).auth_method == "jwt"
    clock.now += 300
    assert code_of(token) == "invalid_token"


def test_without_keys_nobody_comes_in_and_what_is_known_lasts_an_hour(db, issuer: ScriptedIssuer, clock):
    accept(issuer)
    issuer.is_down = True
    token = issuer.access_token()
    with pytest.raises(ServiceUnavailable) as refusal:
        resolve(Credentials(bearer=token))
    assert (refusal.value.code, refusal.value.retry_after) == ("identity_provider_unavailable", 10)
    assert User.objects.count() == 0
    issuer.is_down = False
    clock.now += 10
    whose(token)
    issuer.is_down = True
    clock.now += 3600
    assert whose(token).auth_method == "jwt"
    clock.now += 10
    with pytest.raises(ServiceUnavailable):
        resolve(Credentials(bearer=token))


def test_a_jwks_url_of_the_operators_needs_no_discovery(db, issuer: ScriptedIssuer):
    accept(issuer, jwks_url=f"{issuer.issuer}/jwks")
    whose(issuer.access_token())
    assert issuer.asked == ["/jwks"]


@pytest.mark.parametrize(
    "change", [{"issuer": "https://attacker.test"}, {"jwks_uri": "file:///etc/passwd"}, {"jwks_uri": 5}]
)
def test_a_discovery_document_about_somebody_else_is_not_believed(db, issuer: ScriptedIssuer, change):
    accept(issuer)
    issuer.metadata = change
    assert code_of(issuer.access_token()) == "identity_provider_unavailable"


@pytest.mark.django_db(transaction=True)
def test_many_requests_at_first_sight_make_one_account(issuer: ScriptedIssuer):
    accept(issuer)
    tokens = [issuer.access_token(jti=str(number)) for number in range(8)]

    def meet(token: str) -> str:
        try:
            return whose(token).user_id
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as threads:
        met = set(threads.map(meet, tokens))
    assert len(met) == 1
    assert User.objects.count() == 1


def test_our_own_issuers_name_is_not_for_others(db, settings, issuer: ScriptedIssuer):
    settings.TOKEN_ISSUER = issuer.issuer
    accept(issuer)
    assert code_of(issuer.access_token()) == "invalid_token"


@pytest.mark.django_db(transaction=True)
def test_a_provider_that_hangs_holds_up_nobody_else(issuer: ScriptedIssuer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(remote, "FETCH_SECONDS", 60.0)
    monkeypatch.setattr(remote, "WAIT_SECONDS", 60.0)
    key = _a_key_beside(issuer)
    tokens = [issuer.access_token(sub=f"u-{number}") for number in range(12)]

    async def call() -> set[str]:
        watch = Watch()
        principals = PrincipalCache(watch)
        issuer.is_open.clear()
        waiting = [asyncio.create_task(principals.find(Credentials(bearer=token))) for token in tokens]
        await asyncio.sleep(0)
        found = await principals.find(Credentials(api_key=key))
        await watch.look()
        assert found is not None
        assert found.auth_method == "api_key"
        assert not any(task.done() for task in waiting)
        issuer.is_open.set()
        return {principal.user_id for principal in await asyncio.gather(*waiting) if principal is not None}

    assert len(asyncio.run(call())) == 12


def _a_key_beside(issuer: ScriptedIssuer) -> str:
    accept(issuer)
    user = add_user("ada@example.com")
    project = Project.objects.get(organization__memberships__user=user)
    return create_key(kind=KeyKind.USER, name="k", place=project, holder=Holder(user), actor=actor_of(user))[1]


def test_keys_that_are_known_are_used_while_new_ones_are_asked_for(db, issuer: ScriptedIssuer, monkeypatch):
    accept(issuer, jwks_url=f"{issuer.issuer}/jwks")
    assert whose(issuer.access_token(sub="u-1")).auth_method == "jwt"
    for name, seconds in {"FRESH_SECONDS": 0.0, "FLOOR_SECONDS": 0.0, "WAIT_SECONDS": 60.0}.items():
        monkeypatch.setattr(remote, name, seconds)
    issuer.is_open.clear()
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(key_for, f"{issuer.issuer}/jwks", kid="unknown", algorithm="RS256")
        assert issuer.is_waited_for.wait(10)
        assert whose(issuer.access_token(sub="u-1")).auth_method == "jwt"
        assert not asking.done()
        issuer.is_open.set()
        assert asking.result() is None
