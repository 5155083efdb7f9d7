"""What operators do with people: what changes, what is audited, and what is refused."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier
from typing import Any

import httpx2
import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.contrib.admin.utils import quote
from django.contrib.messages import get_messages
from django.contrib.sessions.models import Session
from django.core import mail
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts import people
from apps.accounts.models import RefreshTokenFamily, User
from apps.accounts.sessions import actor_of
from apps.audit.models import AuditEvent
from apps.core.errors import Conflict
from apps.core.ids import new_id
from tests.console.conftest import SIGN_IN, prove
from tests.server import OPERATOR, Server

USERS = "/admin/accounts/user/"
SESSIONS = "/admin/usersessions/usersession/"
ADDRESSES = "/admin/account/emailaddress/"
ACCOUNTS = "/admin/socialaccount/socialaccount/"
FACTORS = "/admin/mfa/authenticator/"
CONFIRMED = {"confirmed": "yes"}


def sign_in(client: Client, email: str, password: str) -> int:
    return client.post("/accounts/login/", {"login": email, "password": password}).status_code


def act(client: Client, page: str, action: str, *rows: Any, **more: str) -> Any:
    return client.post(page, {"action": action, "_selected_action": [row.pk for row in rows], **more})


def said(answer: Any) -> str:
    return " ".join(str(message) for message in get_messages(answer.wsgi_request))


def events(user: User) -> list[tuple[str, str, dict[str, Any]]]:
    """What was audited about a user, oldest first: what, by whom, and how."""
    found = AuditEvent.objects.filter(target_id=user.pk).order_by("pk")
    return [(event.action, event.actor_id, event.details) for event in found]


def change(client: Client, user: User, **fields: str) -> int:
    values = {"email": user.email or "", "username": "", "name": user.name, **fields}
    answer = client.post(f"{USERS}{quote(user.pk)}/change/", {name: value for name, value in values.items() if value})
    return answer.status_code


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user, backend=SIGN_IN)
    key = client.session.session_key
    UserSession.objects.create(user=user, session_key=key, ip="192.0.2.7", user_agent="Browser")
    return client


def is_signed_in(client: Client) -> bool:
    return client.get(reverse("account_change_password")).status_code == 200


# --- Made and changed ---


def test_a_new_account_can_sign_in_and_has_a_tenant(admin_client: Client, operator: User):
    form = {"email": "Grace@Example.com", "password1": "correct-horse-9", "password2": "correct-horse-9"}
    assert admin_client.post(f"{USERS}add/", form).status_code == 302
    grace = User.objects.get(email="grace@example.com")
    assert grace.memberships.count() == 1
    assert not grace.is_superuser
    assert events(grace) == [("user.added", operator.pk, {"email": "grace@example.com"})]
    assert sign_in(Client(), "grace@example.com", "correct-horse-9") == 302


@pytest.mark.parametrize("email", ["", "ADA@example.com", "no-address", "second@example.com"])
def test_an_account_needs_an_address_of_its_own(admin_client: Client, person: User, email: str):
    EmailAddress.objects.create(user=person, email="second@example.com", verified=True)
    form = {"email": email, "password1": "correct-horse-9", "password2": "correct-horse-9"}
    answer = admin_client.post(f"{USERS}add/", form)
    assert (answer.status_code, User.objects.count()) == (200, 2)
    assert "email" in answer.context["adminform"].errors


def test_after_a_change_of_address_the_old_one_no_longer_signs_in(admin_client: Client, operator: User, person: User):
    EmailAddress.objects.create(user=person, email="ada@example.com", primary=True, verified=True)
    assert change(admin_client, person, email="countess@example.com") == 302
    assert events(person) == [
        ("user.updated", operator.pk, {"email": ["ada@example.com", "countess@example.com"]}),
    ]
    assert sign_in(Client(), "ada@example.com", "analytical-engine-1") == 200
    assert sign_in(Client(), "countess@example.com", "analytical-engine-1") == 302


def test_nobody_is_given_an_address_that_somebody_else_has_verified(admin_client: Client, operator: User, person: User):
    EmailAddress.objects.create(user=operator, email="taken@example.com", verified=True)
    assert change(admin_client, person, email="taken@example.com") == 200
    person.refresh_from_db()
    assert (person.email, events(person)) == ("ada@example.com", [])


def test_a_change_leaves_other_columns_alone(admin_client: Client, person: User):
    stale = User.objects.get(pk=person.pk)
    User.objects.get_queryset().filter(pk=person.pk).update(session_version=7, is_active=False)
    stale.name = "Countess"
    people.change_user(user=stale, fields=["name"], actor=actor_of(person))
    person.refresh_from_db()
    assert (person.name, person.session_version, person.is_active) == ("Countess", 7, False)


def test_an_operator_is_made_and_unmade(admin_client: Client, operator: User, person: User):
    assert change(admin_client, person, is_staff="on") == 302
    person.refresh_from_db()
    assert (person.is_staff, person.is_superuser) == (True, False)
    assert change(admin_client, person) == 302
    person.refresh_from_db()
    assert (person.is_staff, person.is_superuser) == (False, False)
    assert events(person) == [
        ("user.updated", operator.pk, {"is_staff": [False, True]}),
        ("user.updated", operator.pk, {"is_staff": [True, False]}),
    ]


def test_an_operator_sets_a_password(admin_client: Client, operator: User, person: User):
    browser = signed_in(person)
    form = {"password1": "a-new-engine-22", "password2": "a-new-engine-22"}
    assert admin_client.post(f"{USERS}{quote(person.pk)}/password/", form).status_code == 302
    assert [action for action, actor, _ in events(person) if actor == operator.pk] == [
        "user.sessions_ended",
        "user.password_changed",
    ]
    assert not is_signed_in(browser)
    assert sign_in(Client(), "ada@example.com", "a-new-engine-22") == 302


@pytest.mark.parametrize(
    ("first", "second"), [("a-new-engine-22", "another-33"), ("short", "short"), ("", ""), ("12345678", "12345678")]
)
def test_a_password_that_is_refused_changes_nothing(admin_client: Client, person: User, first: str, second: str):
    answer = admin_client.post(f"{USERS}{quote(person.pk)}/password/", {"password1": first, "password2": second})
    assert (answer.status_code, events(person)) == (200, [])
    person.refresh_from_db()
    assert person.check_password("analytical-engine-1")


def test_setting_a_password_asks_who_it_is(operator: User, person: User):
    client = signed_in(operator)
    prove(client, operator, seconds_ago=3600)
    form = {"password1": "a-new-engine-22", "password2": "a-new-engine-22"}
    answer = client.post(f"{USERS}{quote(person.pk)}/password/", form)
    assert answer.url.startswith(reverse("account_reauthenticate"))
    person.refresh_from_db()
    assert person.check_password("analytical-engine-1")


def test_changing_an_account_asks_who_it_is_and_goes_on_afterwards(operator: User, person: User):
    client = signed_in(operator)
    prove(client, operator, seconds_ago=3600)
    form = {"email": "ada@example.com", "name": "Ada", "is_staff": "on"}
    asked = client.post(f"{USERS}{quote(person.pk)}/change/", form)
    assert asked.url.startswith(reverse("account_reauthenticate"))
    person.refresh_from_db()
    assert (person.is_staff, events(person)) == (False, [])
    assert client.post(asked.url, {"password": "correct-horse-9"}).status_code == 302
    person.refresh_from_db()
    assert person.is_staff
    assert events(person) == [("user.updated", operator.pk, {"is_staff": [False, True]})]


# --- Stopped and let in again ---


def test_disabling_ends_what_is_open_and_enabling_lets_in_again(admin_client: Client, operator: User, person: User):
    browser = signed_in(person)
    assert is_signed_in(browser)
    assert act(admin_client, USERS, "disable", person).status_code == 302
    person.refresh_from_db()
    assert (person.is_active, UserSession.objects.filter(user=person).count()) == (False, 0)
    assert not is_signed_in(browser)
    act(admin_client, USERS, "disable", person)
    act(admin_client, USERS, "enable", person)
    person.refresh_from_db()
    assert person.is_active
    assert not is_signed_in(browser)
    assert events(person) == [
        ("user.updated", operator.pk, {"is_active": [True, False]}),
        ("user.sessions_ended", operator.pk, {}),
        ("user.updated", operator.pk, {"is_active": [False, True]}),
    ]


def test_nobody_shuts_themselves_out(admin_client: Client, operator: User):
    assert change(admin_client, operator) == 302
    answer = act(admin_client, USERS, "disable", operator)
    assert "Nobody shuts themselves out" in said(answer)
    operator.refresh_from_db()
    assert (operator.is_active, operator.is_staff, operator.is_superuser) == (True, True, True)
    assert events(operator) == []
    assert is_signed_in(admin_client)


@pytest.mark.parametrize("verb", ["disable", "demote"])
def test_the_last_operator_stays(operator: User, person: User, verb: str):
    """The one who acts may have been disabled by a colleague in the same moment."""
    operator.is_superuser = verb == "disable"
    change = {
        "disable": partial(people.disable, user=operator),
        "demote": partial(people.change_user, user=operator, fields=["is_superuser"]),
    }[verb]
    with pytest.raises(Conflict) as refused:
        change(actor=actor_of(person))
    assert refused.value.code == "last_operator"
    operator.refresh_from_db()
    assert (operator.is_active, operator.is_superuser) == (True, True)
    assert AuditEvent.objects.filter(actor_id=person.pk).count() == 0


@pytest.mark.django_db(transaction=True)
def test_of_two_operators_who_shut_out_each_other_one_stays():
    both = [User.objects.create_superuser(f"op{number}@example.com", "pw") for number in range(2)]
    begin = Barrier(2)

    def disable(user: User, actor: User) -> str:
        begin.wait()
        try:
            people.disable(user=user, actor=actor_of(actor))
        except Conflict as refusal:
            return refusal.code
        finally:
            connection.close()
        return "disabled"

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(disable, both, reversed(both)))
    assert sorted(outcomes) == ["disabled", "last_operator"]
    assert User.objects.get_queryset().filter(is_staff=True, is_active=True).count() == 1


def test_signing_out_everywhere_asks_first(admin_client: Client, operator: User, person: User):
    browsers = [signed_in(person), signed_in(person)]
    family = RefreshTokenFamily.objects.create(
        session_key="api", user=person, newest_jti="1", expires_at=timezone.now()
    )
    page = act(admin_client, USERS, "sign_out", person)
    assert (page.status_code, page.context["button"]) == (200, "Sign out everywhere")
    assert (all(map(is_signed_in, browsers)), events(person)) == (True, [])
    answer = act(admin_client, USERS, "sign_out", person, **CONFIRMED)
    assert "1 user is signed out everywhere" in said(answer)
    assert not any(map(is_signed_in, browsers))
    assert UserSession.objects.filter(user=person).count() == 0
    assert not RefreshTokenFamily.objects.filter(pk=family.pk).exists()
    assert events(person) == [("user.sessions_ended", operator.pk, {})]
    person.refresh_from_db()
    assert (person.session_version, person.is_active) == (1, True)


def test_an_operator_who_signs_out_everywhere_stays_here(admin_client: Client, operator: User):
    elsewhere = signed_in(operator)
    act(admin_client, USERS, "sign_out", operator, **CONFIRMED)
    assert is_signed_in(admin_client)
    assert not is_signed_in(elsewhere)


def test_a_password_change_is_required_once_and_of_those_who_have_one(
    admin_client: Client, operator: User, person: User
):
    guest = User.objects.create_user(is_guest=True)
    answer = act(admin_client, USERS, "require_password_change", person, guest)
    act(admin_client, USERS, "require_password_change", person)
    assert "1 user is asked" in said(answer)
    for user in (person, guest):
        user.refresh_from_db()
    assert (person.must_change_password, guest.must_change_password) == (True, False)
    assert events(person) == [("user.updated", operator.pk, {"must_change_password": [False, True]})]
    assert events(guest) == []
    browser = signed_in(person)
    assert browser.get(reverse("account_email")).url == reverse("account_change_password")


# --- Second factors ---


@pytest.fixture
def protected(person: User) -> User:
    EmailAddress.objects.create(user=person, email="ada@example.com", verified=True, primary=True)
    for kind in ("totp", "recovery_codes"):
        Authenticator.objects.create(user=person, type=kind, data={})
    return person


def test_second_factors_are_reset_after_asking_and_their_owner_is_told(
    admin_client: Client, operator: User, protected: User, django_capture_on_commit_callbacks: Any
):
    page = act(admin_client, USERS, "reset_mfa", protected)
    assert (page.status_code, Authenticator.objects.count(), events(protected)) == (200, 2, [])
    with django_capture_on_commit_callbacks(execute=True):
        answer = act(admin_client, USERS, "reset_mfa", protected, **CONFIRMED)
        act(admin_client, USERS, "reset_mfa", protected, **CONFIRMED)
    assert "1 user is without a second factor" in said(answer)
    assert Authenticator.objects.count() == 0
    assert events(protected) == [("user.mfa_reset", operator.pk, {"types": ["recovery_codes", "totp"]})]
    assert [(message.to, message.subject) for message in mail.outbox] == [
        (["ada@example.com"], "Your second factor was reset")
    ]
    assert "/accounts/2fa/" in mail.outbox[0].body


def test_an_address_that_is_not_verified_is_told_nothing(
    admin_client: Client, protected: User, django_capture_on_commit_callbacks: Any
):
    EmailAddress.objects.update(verified=False)
    with django_capture_on_commit_callbacks(execute=True):
        act(admin_client, USERS, "reset_mfa", protected, **CONFIRMED)
    assert (Authenticator.objects.count(), mail.outbox) == (0, [])


def test_resetting_second_factors_asks_who_it_is(operator: User, protected: User):
    client = signed_in(operator)
    prove(client, operator, seconds_ago=3600)
    for page, row, action in ((USERS, protected, "reset_mfa"), (FACTORS, Authenticator.objects.first(), "reset")):
        answer = act(client, page, action, row, **CONFIRMED)
        assert answer.url.startswith(reverse("account_reauthenticate"))
    assert (Authenticator.objects.count(), events(protected)) == (2, [])


def test_ones_own_second_factors_are_not_reset_here(admin_client: Client, operator: User):
    factor = Authenticator.objects.create(user=operator, type="totp", data={})
    assert "on your account's page" in said(act(admin_client, USERS, "reset_mfa", operator, **CONFIRMED))
    assert "on your account's page" in said(act(admin_client, FACTORS, "reset", factor, **CONFIRMED))
    assert (Authenticator.objects.count(), events(operator)) == (1, [])


def test_recovery_codes_go_with_the_last_second_factor(admin_client: Client, operator: User, protected: User):
    passkey = Authenticator.objects.create(user=protected, type="webauthn", data={"name": "laptop"})
    act(admin_client, FACTORS, "reset", passkey, **CONFIRMED)
    assert set(Authenticator.objects.values_list("type", flat=True)) == {"totp", "recovery_codes"}
    act(admin_client, FACTORS, "reset", Authenticator.objects.get(type="totp"), **CONFIRMED)
    assert Authenticator.objects.count() == 0
    assert events(protected) == [
        ("user.mfa_reset", operator.pk, {"types": ["webauthn"]}),
        ("user.mfa_reset", operator.pk, {"types": ["totp"]}),
    ]


# --- Sessions, addresses, accounts elsewhere ---


def test_one_session_is_ended_and_the_others_go_on(admin_client: Client, operator: User, person: User):
    first, second = signed_in(person), signed_in(person)
    session = UserSession.objects.get(session_key=first.session.session_key)
    RefreshTokenFamily.objects.create(
        session_key=session.session_key, user=person, newest_jti="1", expires_at=timezone.now()
    )
    act(admin_client, SESSIONS, "end", session)
    assert [is_signed_in(first), is_signed_in(second)] == [False, True]
    assert not Session.objects.filter(pk=session.session_key).exists()
    assert RefreshTokenFamily.objects.count() == 0
    assert events(person) == [("user.sessions_ended", operator.pk, {"address": "192.0.2.7"})]


def test_an_address_is_marked_verified_and_signs_in(admin_client: Client, operator: User):
    claimer, owner = User.objects.create_user(), User.objects.create_user(password="analytical-engine-1")
    EmailAddress.objects.create(user=claimer, email="ada@example.com")
    address = EmailAddress.objects.create(user=owner, email="ada@example.com")
    act(admin_client, ADDRESSES, "mark_verified", address)
    act(admin_client, ADDRESSES, "mark_verified", address)
    owner.refresh_from_db()
    assert owner.email == "ada@example.com"
    assert list(EmailAddress.objects.values_list("user", "verified", "primary")) == [(owner.pk, True, True)]
    assert events(owner) == [("user.email_verified", operator.pk, {"email": "ada@example.com"})]
    assert sign_in(Client(), "ada@example.com", "analytical-engine-1") == 302


def test_an_address_that_somebody_else_has_verified_stays_theirs(admin_client: Client, person: User):
    EmailAddress.objects.create(user=person, email="ada@example.com", verified=True, primary=True)
    claimer = User.objects.create_user()
    address = EmailAddress.objects.create(user=claimer, email="ada@example.com")
    assert "Somebody else" in said(act(admin_client, ADDRESSES, "mark_verified", address))
    address.refresh_from_db()
    assert (address.verified, events(claimer)) == (False, [])


def test_the_confirmation_is_sent_again_to_those_who_wait(
    admin_client: Client, person: User, django_capture_on_commit_callbacks: Any
):
    done = EmailAddress.objects.create(user=person, email="ada@example.com", verified=True, primary=True)
    waiting = EmailAddress.objects.create(user=person, email="second@example.com")
    with django_capture_on_commit_callbacks(execute=True):
        answer = act(admin_client, ADDRESSES, "send_confirmation", done, waiting)
    assert "1 mails sent" in said(answer)
    assert [message.to for message in mail.outbox] == [["second@example.com"]]


def test_an_account_elsewhere_is_disconnected_after_asking(admin_client: Client, operator: User, person: User):
    account = SocialAccount.objects.create(user=person, provider="google", uid="g-1")
    assert act(admin_client, ACCOUNTS, "disconnect", account).status_code == 200
    assert SocialAccount.objects.count() == 1
    act(admin_client, ACCOUNTS, "disconnect", account, **CONFIRMED)
    assert SocialAccount.objects.count() == 0
    assert events(person) == [("user.identity_disconnected", operator.pk, {"provider": "google", "uid": "g-1"})]


# --- Invited ---


def test_a_person_is_invited(admin_client: Client, operator: User, django_capture_on_commit_callbacks: Any):
    assert admin_client.get(f"{USERS}invite/").status_code == 200
    with django_capture_on_commit_callbacks(execute=True):
        answer = admin_client.post(f"{USERS}invite/", {"email": "Grace@example.com"})
    assert (answer.status_code, answer.url) == (302, USERS)
    assert [message.to for message in mail.outbox] == [["grace@example.com"]]
    sent = AuditEvent.objects.get(action="invite.sent")
    assert (sent.actor_id, sent.details) == (operator.pk, {"email": "grace@example.com"})


@pytest.mark.parametrize(("email", "sign_up"), [("", "open"), ("nothing", "open"), ("ada@example.com", "open")])
def test_who_cannot_be_invited_is_not(admin_client: Client, person: User, settings: Any, email: str, sign_up: str):
    EmailAddress.objects.create(user=person, email="ada@example.com", verified=True, primary=True)
    settings.SIGNUP = sign_up
    answer = admin_client.post(f"{USERS}invite/", {"email": email})
    assert (answer.status_code, mail.outbox) == (200, [])
    assert "email" in answer.context["form"].errors
    assert not AuditEvent.objects.filter(action="invite.sent").exists()


# --- Looked at ---


@pytest.mark.parametrize(
    ("choice", "found"),
    [
        ({"kind": "operator"}, {"op"}),
        ({"kind": "guest"}, {"guest"}),
        ({"kind": "person"}, {"ada", "eve"}),
        ({"verified": "yes"}, {"ada"}),
        ({"verified": "no"}, {"op", "eve", "guest"}),
        ({"state": "disabled"}, {"eve"}),
        ({"state": "must_change"}, {"ada"}),
        ({"state": "active", "kind": "person"}, {"ada"}),
        ({"last_seen_at_from": "2026-06-01"}, {"ada"}),
        ({"last_seen_at_from": "2026-06-02"}, set()),
        ({"last_seen_at_to": "2026-06-01"}, {"ada", "eve"}),
        ({"last_seen_at_from": "2025-01-01", "last_seen_at_to": "2026-05-31"}, {"eve"}),
        ({"last_seen_at_from": "yesterday"}, {"op", "ada", "eve", "guest"}),
        ({"last_seen_at_from": "0001-01-01"}, {"ada", "eve"}),
        ({"last_seen_at_to": "9999-12-31"}, {"op", "ada", "eve", "guest"}),
        ({"kind": "nonsense"}, {"op", "ada", "eve", "guest"}),
    ],
)
def test_the_list_of_users_is_narrowed_down(
    admin_client: Client, person: User, choice: dict[str, str], found: set[str]
):
    EmailAddress.objects.create(user=person, email="ada@example.com", verified=True, primary=True)
    rows = User.objects.get_queryset()
    rows.filter(pk=person.pk).update(must_change_password=True, last_seen_at="2026-06-01T12:00Z")
    User.objects.create_user("eve@example.com", is_active=False, last_seen_at="2025-06-01T12:00Z")
    User.objects.create_user(is_guest=True, username="guest")
    answer = admin_client.get(USERS, choice)
    listed = {(user.email or user.username).partition("@")[0] for user in answer.context["cl"].result_list}
    assert listed == found


def test_an_account_is_found_by_an_address_that_is_not_confirmed(admin_client: Client, person: User):
    claimer = User.objects.create_user()
    EmailAddress.objects.create(user=claimer, email="adam@example.com")
    answer = admin_client.get(USERS, {"q": "ADA"})
    assert set(answer.context["cl"].result_list) == {person, claimer}
    assert "adam@example.com" in answer.content.decode()


def test_an_id_that_looks_quoted_is_read_as_it_is(admin_client: Client):
    user = User.objects.create(pk="user_2F0123456789abcdefghij", email="eve@example.com")
    page = f"{USERS}{quote(user.pk)}/"
    assert f'value="{user.pk}"' in admin_client.get(f"{page}disable/").content.decode()
    form = {"password1": "a-new-engine-22", "password2": "a-new-engine-22"}
    answer = admin_client.post(f"{page}password/", form, follow=True)
    assert (answer.redirect_chain, answer.context["original"]) == ([(f"{page}change/", 302)], user)


def test_signing_in_counts_as_being_seen(person: User):
    EmailAddress.objects.create(user=person, email="ada@example.com", verified=True, primary=True)
    before = timezone.now()
    assert sign_in(Client(), "ada@example.com", "analytical-engine-1") == 302
    person.refresh_from_db()
    assert before <= person.last_seen_at <= timezone.now()


@pytest.mark.parametrize("verb", ["enable", "disable", "sign-out", "require-password-change", "reset-mfa"])
def test_looking_at_a_users_action_does_nothing(admin_client: Client, person: User, verb: str):
    before = User.objects.values().get(pk=person.pk)
    page = admin_client.get(f"{USERS}{quote(person.pk)}/{verb}/")
    assert page.status_code == 200
    assert f'value="{person.pk}"' in page.content.decode()
    assert User.objects.values().get(pk=person.pk) == before
    assert events(person) == []
    assert admin_client.get(f"{USERS}{quote(new_id('user'))}/{verb}/").status_code == 404


def test_only_operators_act_on_people(person: User):
    client = signed_in(person)
    other = User.objects.create_user("eve@example.com", "pw")
    for action in ("enable", "disable", "sign_out", "require_password_change", "reset_mfa"):
        assert act(client, USERS, action, other, **CONFIRMED).status_code == 302
    assert client.get(f"{USERS}invite/").status_code == 302
    other.refresh_from_db()
    assert (other.is_active, other.session_version, events(other)) == (True, 0, [])


def test_signing_out_needs_a_form(admin_client: Client):
    assert admin_client.get("/accounts/logout/").status_code == 200
    assert admin_client.get("/admin/").status_code == 200
    admin_client.post("/accounts/logout/")
    assert admin_client.get("/admin/").status_code == 302


# --- On a running server of two processes ---


@pytest.mark.e2e
@pytest.mark.parametrize("verb", ["disable", "sign_out"])
def test_every_process_honours_it_within_two_seconds(live_pg: Server, verb: str):
    with httpx2.Client(base_url=live_pg.base_url, timeout=20, follow_redirects=True) as browser:
        form = {"login": OPERATOR[0], "password": OPERATOR[1], "csrfmiddlewaretoken": csrf(browser, "/accounts/login/")}
        assert "/admin/" in str(browser.post("/accounts/login/", data=form).url)
        guest = live_pg.call("POST", "/v1/auth/guest-login")
        token = f"Bearer {guest['access_token']}"
        assert {ask_who(live_pg, token) for _ in range(8)} == {200}
        form = {"action": verb, "_selected_action": guest["user_id"], "csrfmiddlewaretoken": csrf(browser, USERS)}
        assert browser.post(USERS, data={**form, **CONFIRMED}).status_code == 200
        done = time.monotonic()
        while {ask_who(live_pg, token) for _ in range(8)} != {401}:
            assert time.monotonic() - done < 2
        assert (
            httpx2.post(
                f"{live_pg.base_url}/v1/auth/refresh-token", json={"refresh_token": guest["refresh_token"]}
            ).status_code
            == 401
        )


def csrf(browser: httpx2.Client, page: str) -> str:
    found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', browser.get(page).text)
    assert found is not None
    return found.group(1)


def ask_who(server: Server, token: str) -> int:
    """Ask over a connection of its own, so that any of the processes answers."""
    return httpx2.get(f"{server.base_url}/v1/auth/me", headers={"authorization": token}).status_code
