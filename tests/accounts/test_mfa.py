"""Second factors: kept sealed, asked for at sign-in, good once."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, hotp_value
from django.core.cache import cache
from django.test import Client

from apps.accounts.models import User
from apps.audit.models import AuditEvent
from apps.core.sealing import rotate_data_keys

PASSWORD = "analytical-engine-1"
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
SECOND_STEP = "/accounts/2fa/authenticate/"
EVERY_PAGE = "/accounts/email/"  # any page that only signed-in people see


@pytest.fixture(autouse=True)
def _fresh_limits() -> None:
    """Attempts and used codes are remembered in the cache, which outlives a test."""
    cache.clear()


@pytest.fixture
def person(db: None) -> User:
    user = User.objects.create_user("ada@example.com", PASSWORD, name="Ada")
    EmailAddress.objects.create(user=user, email="ada@example.com", verified=True, primary=True)
    return user


def code(secret: str = SECRET, step: int = 0) -> str:
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30 + step))


def sign_in(person: User) -> Client:
    """Return a browser in which the password was given."""
    client = Client()
    answer = client.post("/accounts/login/", {"login": person.email, "password": PASSWORD})
    assert answer.status_code == 302
    return client


def is_signed_in(client: Client) -> bool:
    return client.get(EVERY_PAGE).status_code == 200


def confirm(client: Client) -> None:
    answer = client.post("/accounts/reauthenticate/", {"password": PASSWORD, "next": "/accounts/2fa/"})
    assert (answer.status_code, answer["Location"]) == (302, "/accounts/2fa/")


def enrol(client: Client) -> str:
    """Set up an authenticator app as a person does; return its secret."""
    confirm(client)
    secret = str(client.get("/accounts/2fa/totp/activate/").context["form"].secret)
    answer = client.post("/accounts/2fa/totp/activate/", {"code": code(secret)})
    assert (answer.status_code, answer["Location"]) == (302, "/accounts/2fa/recovery-codes/")
    return secret


def test_secrets_are_sealed_at_rest(person: User):
    client = sign_in(person)
    secret = enrol(client)
    totp, codes = (Authenticator.objects.get(user=person, type=each) for each in ("totp", "recovery_codes"))
    shown = client.get("/accounts/2fa/recovery-codes/").context["unused_codes"]
    stored = json.dumps([totp.data, codes.data])
    assert len(shown) == 10
    assert secret not in stored
    assert not [each for each in shown if each in stored]
    assert totp.data["secret"] != Authenticator.objects.get(pk=codes.pk).data["seed"]
    assert totp.wrap().validate_code(code(secret))


def test_secrets_open_after_the_ring_was_rotated(protected: User, settings: Any):
    settings.ENCRYPTION_KEYS = ["a newer key for tests", *settings.ENCRYPTION_KEYS]
    assert rotate_data_keys() >= 1
    settings.ENCRYPTION_KEYS = settings.ENCRYPTION_KEYS[:1]
    client = sign_in(protected)
    assert client.post(SECOND_STEP, {"code": code()}).status_code == 302
    assert is_signed_in(client)


@pytest.mark.django_db(transaction=True)
def test_setting_up_is_audited_without_the_secret(person: User):
    secret = enrol(sign_in(person))
    events = AuditEvent.objects.filter(action="user.mfa_added")
    assert sorted(event.details["factor"] for event in events) == ["recovery_codes", "totp"]
    assert {(event.actor_id, event.target_id) for event in events} == {(person.pk, person.pk)}
    assert secret not in str(list(AuditEvent.objects.values()))


def test_setting_up_asks_for_the_password_first(person: User):
    client = sign_in(person)
    answer = client.get("/accounts/2fa/totp/activate/")
    assert answer["Location"] == "/accounts/reauthenticate/?next=%2Faccounts%2F2fa%2Ftotp%2Factivate%2F"
    client.post("/accounts/2fa/totp/activate/", {"code": code()})
    assert not Authenticator.objects.exists()


def test_a_wrong_code_sets_nothing_up(person: User):
    client = sign_in(person)
    confirm(client)
    client.get("/accounts/2fa/totp/activate/")
    answer = client.post("/accounts/2fa/totp/activate/", {"code": "000000"})
    assert (answer.status_code, answer.context["form"].errors) == (200, {"code": ["Incorrect code."]})
    assert not Authenticator.objects.exists()


@pytest.fixture
def protected(person: User) -> User:
    """Ada, with an authenticator app of a known secret and recovery codes."""
    TOTP.activate(person, SECRET)
    RecoveryCodes.activate(person)
    return person


def test_the_password_alone_does_not_sign_in(protected: User):
    client = Client()
    answer = client.post("/accounts/login/", {"login": protected.email, "password": PASSWORD})
    assert (answer.status_code, answer["Location"]) == (302, SECOND_STEP)
    assert not is_signed_in(client)


def test_the_right_code_signs_in(protected: User):
    client = sign_in(protected)
    assert client.post(SECOND_STEP, {"code": code()}).status_code == 302
    assert is_signed_in(client)


@pytest.mark.parametrize("wrong", ["000000", "", "12345", "1234567", "abcdef", "\x00", "٠٠٠٠٠٠", "9" * 5000])
def test_a_wrong_code_does_not(protected: User, wrong: str):
    client = sign_in(protected)
    answer = client.post(SECOND_STEP, {"code": wrong})
    assert (answer.status_code, list(answer.context["form"].errors)) == (200, ["code"])
    assert not is_signed_in(client)


# Time may go on by a step between here and there: a code a step ahead is right even so, one behind might not be.
@pytest.mark.parametrize("step", [0, 1])
def test_clocks_may_differ_by_a_step(protected: User, step: int):
    client = sign_in(protected)
    assert client.post(SECOND_STEP, {"code": code(step=step)}).status_code == 302
    assert is_signed_in(client)


@pytest.mark.parametrize("step", [-2, 3])
def test_a_code_of_another_time_does_not(protected: User, step: int):
    client = sign_in(protected)
    assert client.post(SECOND_STEP, {"code": code(step=step)}).status_code == 200
    assert not is_signed_in(client)


def test_a_code_is_good_once(protected: User):
    first, second, used = sign_in(protected), sign_in(protected), code()
    assert first.post(SECOND_STEP, {"code": used}).status_code == 302
    for replayed in (used, f"{used[:3]} {used[3:]}", f"{used[:3]}-{used[3:]}"):
        assert second.post(SECOND_STEP, {"code": replayed}).status_code == 200
    # allauth's memory of it ends after one step, while it is still good.
    assert cache.delete(f"allauth.mfa.totp.used?user={protected.pk}&code={used}")
    assert second.post(SECOND_STEP, {"code": f"{used[:3]}-{used[3:]}"}).status_code == 200
    assert not is_signed_in(second)


@pytest.mark.django_db(transaction=True)
def test_the_code_that_set_the_app_up_does_not_sign_in_as_well(person: User):
    browser = sign_in(person)
    confirm(browser)
    secret = str(browser.get("/accounts/2fa/totp/activate/").context["form"].secret)
    used = code(secret)
    assert browser.post("/accounts/2fa/totp/activate/", {"code": used}).status_code == 302
    again = sign_in(person)
    answer = again.post(SECOND_STEP, {"code": used})
    assert (answer.status_code, answer.context["form"].errors) == (200, {"code": ["Incorrect code."]})
    assert not is_signed_in(again)
    assert again.post(SECOND_STEP, {"code": code(secret, step=1)}).status_code == 302


def test_a_recovery_code_is_good_once(protected: User):
    codes = Authenticator.objects.get(user=protected, type="recovery_codes").wrap().get_unused_codes()
    first, second = sign_in(protected), sign_in(protected)
    assert first.post(SECOND_STEP, {"code": codes[0]}).status_code == 302
    assert second.post(SECOND_STEP, {"code": codes[0]}).status_code == 200
    assert (is_signed_in(first), is_signed_in(second)) == (True, False)
    left = Authenticator.objects.get(user=protected, type="recovery_codes").wrap().get_unused_codes()
    assert left == codes[1:]


def test_after_five_wrong_codes_the_right_one_is_refused(protected: User):
    client = sign_in(protected)
    for _ in range(5):
        client.post(SECOND_STEP, {"code": "000000"})
    answer = client.post(SECOND_STEP, {"code": code()})
    assert (answer.status_code, answer["Retry-After"]) == (429, "300")
    assert not is_signed_in(client)
    assert AuditEvent.objects.filter(action="login.failed", actor_id=protected.pk).count() == 5


def test_new_recovery_codes_end_the_old_ones(protected: User):
    old = Authenticator.objects.get(user=protected, type="recovery_codes").wrap().get_unused_codes()
    client = sign_in(protected)
    client.post(SECOND_STEP, {"code": code()})
    confirm(client)
    assert client.post("/accounts/2fa/recovery-codes/generate/").status_code == 302
    new = Authenticator.objects.get(user=protected, type="recovery_codes").wrap().get_unused_codes()
    assert not set(old) & set(new)
    downloaded = client.get("/accounts/2fa/recovery-codes/download/")
    assert downloaded.content.decode().split() == new
    assert "no-store" in downloaded["Cache-Control"]


def test_the_app_is_removed_with_its_recovery_codes(protected: User):
    client = sign_in(protected)
    client.post(SECOND_STEP, {"code": code()})
    client.post("/accounts/2fa/totp/deactivate/")
    assert Authenticator.objects.filter(user=protected).count() == 2  # not before who it is was confirmed
    confirm(client)
    assert client.post("/accounts/2fa/totp/deactivate/").status_code == 302
    assert not Authenticator.objects.filter(user=protected).exists()
    removed = AuditEvent.objects.filter(action="user.mfa_removed")
    assert sorted(event.details["factor"] for event in removed) == ["recovery_codes", "totp"]


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


CLIENT_DATA = b64(json.dumps({"type": "webauthn.get", "challenge": "AA", "origin": "http://localhost"}).encode())
ASSERTION = {"clientDataJSON": CLIENT_DATA, "authenticatorData": b64(bytes(37)), "signature": b64(b"x")}
MALFORMED: list[Any] = [
    "",
    "x",
    "[]",
    "1",
    "null",
    "{}",
    '{"id": "x"}',
    '{"id": "x", "rawId": "x"}',
    '{"rawId": "AA", "response": null}',
    '{"rawId": "AA", "response": []}',
    '{"rawId": "AA", "response": {"clientDataJSON": 1}}',
    json.dumps({"rawId": "AA", "response": {**ASSERTION, "authenticatorData": "AA"}}),
    json.dumps({"rawId": "AA", "response": {**ASSERTION, "clientDataJSON": b64(b"[]")}}),
    json.dumps({"rawId": "AA", "response": {**ASSERTION, "userHandle": None}}),
    json.dumps({"rawId": "AA", "response": {**ASSERTION, "userHandle": b64(b"\xff\xfe")}}),
    json.dumps({"rawId": "AA", "response": {**ASSERTION, "userHandle": b64(b"user_\x00")}}),
    json.dumps({"rawId": "AA", "response": {**ASSERTION, "userHandle": b64(b"user_nobody")}}),
    json.dumps({"rawId": "AA", "response": ASSERTION}),
    json.dumps({"rawId": "é", "response": ASSERTION}),
    "[" * 2000,
]


@pytest.mark.parametrize("credential", MALFORMED)
def test_a_malformed_passkey_is_refused_everywhere(protected: User, credential: str):
    stranger, client = Client(), sign_in(protected)
    client.get(SECOND_STEP)
    assert stranger.get("/accounts/2fa/webauthn/login/", headers={"accept": "application/json"}).status_code == 200
    answer = stranger.post("/accounts/2fa/webauthn/login/", {"credential": credential})
    assert (answer.status_code, answer["Location"]) == (302, "/accounts/login/")
    assert client.post(SECOND_STEP, {"credential": credential}).status_code == 200
    assert not is_signed_in(stranger)
    assert not is_signed_in(client)
    client.post(SECOND_STEP, {"code": code()})
    confirm(client)
    client.get("/accounts/2fa/webauthn/add/")
    assert client.post("/accounts/2fa/webauthn/add/", {"credential": credential}).status_code == 200
    assert client.post("/accounts/2fa/webauthn/reauthenticate/", {"credential": credential}).status_code == 302
    assert not Authenticator.objects.filter(type="webauthn").exists()


def test_passkeys_are_for_the_public_name_and_not_for_what_a_header_says(person: User, settings: Any):
    settings.PUBLIC_URL = "https://jan.example.org:8443"
    settings.ALLOWED_HOSTS = ["*"]
    answer = Client().get(
        "/accounts/2fa/webauthn/login/", headers={"accept": "application/json", "host": "evil.example.net"}
    )
    assert answer.json()["request_options"]["publicKey"]["rpId"] == "jan.example.org"


# --- What an account has to do first ---------------------------------------------------------------


@pytest.fixture
def operator(db: None) -> User:
    user = User.objects.create_superuser("op@example.com", PASSWORD, name="Operator")
    EmailAddress.objects.create(user=user, email="op@example.com", verified=True, primary=True)
    return user


@pytest.mark.parametrize("page", ["/accounts/2fa/totp/activate/", "/accounts/2fa/webauthn/add/"])
def test_an_unconfirmed_main_address_keeps_a_factor_from_being_set_up(person: User, page: str):
    # Whoever claims an address that is somebody else's could lock that person out of it.
    client = sign_in(person)
    confirm(client)
    client.get("/accounts/2fa/totp/activate/")
    EmailAddress.objects.update(verified=False)
    for answer in (client.get(page), client.post(page, {"code": code(client.session["mfa.totp.secret"])})):
        assert (answer.status_code, answer["Location"]) == (302, "/accounts/email/")
    shown = client.get("/accounts/email/").content.decode()
    assert "Confirm your main address before you set up a second step: this page sends you the link again." in shown
    assert "Send the link again" in shown
    assert not Authenticator.objects.exists()


@pytest.mark.parametrize("page", ["/accounts/2fa/totp/activate/", "/accounts/2fa/webauthn/add/"])
def test_another_address_that_is_not_confirmed_does_not(person: User, page: str):
    EmailAddress.objects.create(user=person, email="other@example.com")
    client = sign_in(person)
    confirm(client)
    assert client.get(page).status_code == 200
    enrol(client)
    assert Authenticator.objects.filter(user=person, type="totp").exists()
    assert client.post("/accounts/email/", {"email": "third@example.com", "action_add": ""}).status_code == 302
    assert EmailAddress.objects.filter(user=person, verified=False).count() == 2


def test_operators_without_a_factor_are_sent_to_set_one_up(operator: User, settings: Any):
    settings.OPERATOR_MFA = True
    client = sign_in(operator)
    for page in ("/admin/", "/admin/accounts/user/", "/admin/search/?s=x"):
        answer = client.get(page)
        assert (answer.status_code, answer["Location"]) == (302, "/accounts/2fa/")
    assert "Operators need a second factor" in client.get("/accounts/2fa/").content.decode()
    form = {"email": "new@example.com", "password1": "correct-horse-9", "password2": "correct-horse-9"}
    assert client.post("/admin/accounts/user/add/", form)["Location"] == "/accounts/2fa/"
    assert User.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_an_operator_who_just_set_one_up_goes_on(operator: User, settings: Any):
    settings.OPERATOR_MFA = True
    client = sign_in(operator)
    enrol(client)
    assert client.get("/admin/").status_code == 200


def test_an_operators_factor_is_used_in_each_session(operator: User, settings: Any):
    settings.OPERATOR_MFA = True
    client = sign_in(operator)  # before there was a factor
    TOTP.activate(operator, SECRET)
    answer = client.get("/admin/accounts/user/?q=a")
    assert answer["Location"] == "/accounts/2fa/reauthenticate/?next=%2Fadmin%2Faccounts%2Fuser%2F%3Fq%3Da"
    answer = client.post("/accounts/2fa/reauthenticate/", {"code": code(), "next": "/admin/"})
    assert (answer.status_code, answer["Location"]) == (302, "/admin/")
    assert client.get("/admin/").status_code == 200


def test_an_operator_with_a_passkey_only_is_asked_for_that(operator: User, settings: Any):
    settings.OPERATOR_MFA = True
    client = sign_in(operator)
    Authenticator.objects.create(user=operator, type="webauthn", data={"name": "Laptop"})
    RecoveryCodes.activate(operator)
    assert client.get("/admin/")["Location"] == "/accounts/2fa/webauthn/reauthenticate/?next=%2Fadmin%2F"
    assert client.post("/admin/accounts/user/add/")["Location"].startswith("/accounts/2fa/webauthn/reauthenticate/")


def test_without_the_setting_operators_need_none(operator: User):
    assert sign_in(operator).get("/admin/").status_code == 200


def test_who_must_change_the_password_sees_nothing_else(operator: User):
    User.objects.filter(pk=operator.pk).update(must_change_password=True)
    client = sign_in(operator)
    for page in ("/", "/admin/", EVERY_PAGE, "/accounts/2fa/", "/accounts/password/reset/"):
        answer = client.get(page)
        assert (answer.status_code, answer["Location"]) == (302, "/accounts/password/change/")
    assert client.get("/accounts/password/change/").status_code == 200
    assert client.get("/v1/version").status_code == 200
    assert client.post("/accounts/logout/").status_code == 302


def test_changing_it_opens_everything_again(operator: User):
    User.objects.filter(pk=operator.pk).update(must_change_password=True)
    client = sign_in(operator)
    form = {"oldpassword": PASSWORD, "password1": "difference-engine-2", "password2": "difference-engine-2"}
    assert client.post("/accounts/password/change/", form).status_code == 302
    operator.refresh_from_db()
    assert not operator.must_change_password
    assert client.get("/admin/").status_code == 200
