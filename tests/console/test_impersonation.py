"""Operators acting as a user: who, for how long, what not, and what the audit log says."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from asgiref.sync import async_to_sync
from django.test import AsyncClient, Client
from django.test.signals import template_rendered
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.sessions import actor_of, sign_out_everywhere
from apps.audit.models import AuditEvent
from apps.audit.services import Action, impersonator, record
from tests.console.conftest import SIGN_IN, prove

HOME = "/accounts/"
STOP = "/acting/stop/"
BANNER = "You act as <strong>ada@example.com</strong>"


def page_of(user: User) -> str:
    return f"/admin/act-as/{user.pk}/"


def start(client: Client, user: User, **changes: str) -> Any:
    return client.post(page_of(user), {"user_pk": user.pk, "reason": "Ticket 17", **changes})


def events() -> list[tuple[str, str, str, dict[str, Any]]]:
    found = AuditEvent.objects.filter(action__startswith="impersonation").order_by("id")
    return [(event.action, event.actor_id, event.target_id, event.details) for event in found]


def who_is(client: Client) -> str | None:
    return client.session.get("_auth_user_id")


@pytest.fixture
def acting(admin_client: Client, person: User) -> Client:
    """The operator's browser, acting as Ada."""
    answer = start(admin_client, person)
    assert (answer.status_code, answer["Location"]) == (302, HOME)
    return admin_client


def test_an_operator_sees_what_a_user_sees(acting: Client, operator: User, person: User):
    page = acting.get(HOME).content.decode()
    assert BANNER in page
    assert 'action="/acting/stop/"' in page
    assert events() == [("impersonation.started", operator.pk, person.pk, {"reason": "Ticket 17"})]


@pytest.mark.parametrize("path", ["/", HOME, "/accounts/email/", "/admin/login/"])
def test_the_banner_is_on_every_page(acting: Client, path: str):
    assert acting.get(path).content.decode().count(BANNER) == 1


def test_stopping_leads_back(acting: Client, operator: User, person: User):
    answer = acting.post(STOP)
    assert (answer.status_code, answer["Location"]) == (302, "/admin/accounts/user/")
    assert who_is(acting) == operator.pk
    page = acting.get("/admin/accounts/user/")
    assert (page.status_code, BANNER in page.content.decode()) == (200, False)
    assert events()[1:] == [("impersonation.ended", operator.pk, person.pk, {"why": "stopped"})]
    assert not AuditEvent.objects.exclude(impersonator_id="").exists()


def test_nobodys_bookkeeping_is_touched(admin_client: Client, operator: User, person: User):
    an_hour_ago = timezone.now() - datetime.timedelta(hours=1)
    both = User.objects.filter(pk__in=[operator.pk, person.pk])
    both.update(last_login=an_hour_ago, last_seen_at=an_hour_ago)
    before = list(both.order_by("pk").values())
    own = Client()
    own.force_login(person, backend=SIGN_IN)
    both.update(last_login=an_hour_ago)
    UserSession.objects.create(user=operator, session_key=admin_client.session.session_key, ip="127.0.0.1")

    start(admin_client, person)
    assert not UserSession.objects.exists()
    admin_client.get(HOME)
    admin_client.post(STOP)

    assert list(both.order_by("pk").values()) == before
    assert list(UserSession.objects.values_list("user", "session_key")) == [
        (operator.pk, admin_client.session.session_key)
    ]
    assert own.get(HOME).status_code == 200


def test_what_an_operator_had_proved_still_holds_afterwards(admin_client: Client, operator: User, person: User):
    steps = admin_client.session["account_authentication_methods"]
    start(admin_client, person)
    assert admin_client.session.get("account_authentication_methods") is None
    admin_client.post(STOP)
    assert admin_client.session["account_authentication_methods"] == steps


def test_it_asks_who_it_is_first(operator: User, person: User):
    client = Client()
    client.force_login(operator, backend=SIGN_IN)
    prove(client, operator, seconds_ago=301)
    assert client.get(page_of(person))["Location"].startswith("/accounts/reauthenticate/?next=%2Fadmin%2Fact-as%2F")
    assert start(client, person)["Location"].startswith("/accounts/reauthenticate/")
    assert (who_is(client), events()) == (operator.pk, [])
    answer = client.post("/accounts/reauthenticate/", {"password": "correct-horse-9", "next": page_of(person)})
    assert (answer["Location"], who_is(client)) == (HOME, person.pk)  # with the reason that was given


@pytest.mark.parametrize("reason", ["", "  ", "x" * 201, "a\x00b"])
def test_it_needs_a_reason(admin_client: Client, operator: User, person: User, reason: str):
    answer = start(admin_client, person, reason=reason)
    assert (answer.status_code, list(answer.context["form"].errors)) == (200, ["reason"])
    assert (who_is(admin_client), events()) == (operator.pk, [])


@pytest.mark.parametrize("who", ["disabled", "operator", "superuser", "oneself"])
def test_some_are_never_acted_for(admin_client: Client, operator: User, person: User, who: str):
    fields = {"disabled": {"is_active": False}, "operator": {"is_staff": True}, "superuser": {"is_superuser": True}}
    User.objects.filter(pk=person.pk).update(**fields.get(who, {}))
    target = operator if who == "oneself" else person
    for answer in (admin_client.get(page_of(target)), start(admin_client, target)):
        assert answer.status_code == 403
    assert (who_is(admin_client), events()) == (operator.pk, [])


def test_the_form_and_the_address_name_the_same_user(admin_client: Client, operator: User, person: User):
    other = User.objects.create_superuser("other@example.com", "correct-horse-9")
    start(admin_client, person, user_pk=other.pk)
    assert who_is(admin_client) == person.pk
    assert start(admin_client, other, user_pk=person.pk).status_code != 200
    assert who_is(admin_client) == person.pk


@pytest.mark.parametrize("user_id", ["user_nobody", "%00", "0"])
def test_nobody_is_not_found(admin_client: Client, user_id: str):
    assert admin_client.get(f"/admin/act-as/{user_id}/").status_code == 404


def test_only_operators_act_for_others(person: User):
    other = User.objects.create_user("grace@example.com", "correct-horse-9")
    client = Client()
    client.force_login(other, backend=SIGN_IN)
    prove(client, other)
    for somebody in (client, Client()):
        assert start(somebody, person)["Location"] == f"/admin/login/?next={page_of(person)}"
    assert (who_is(client), events()) == (other.pk, [])


def test_stopping_what_was_not_started_is_refused(admin_client: Client, operator: User):
    assert (admin_client.post(STOP).status_code, admin_client.get(STOP).status_code) == (403, 403)
    assert (who_is(admin_client), events()) == (operator.pk, [])


def test_an_operator_acts_for_one_user_at_a_time(acting: Client, person: User):
    other = User.objects.create_user("grace@example.com", "correct-horse-9")
    assert start(acting, other).status_code == 403
    assert who_is(acting) == person.pk


@pytest.mark.parametrize("path", [HOME, STOP, "/"])
def test_it_ends_after_an_hour(acting: Client, operator: User, person: User, path: str):
    session = acting.session
    assert len(session["acting"]) == 5
    session["acting"] = [*session["acting"][:4], session["acting"][4] - 3600]
    session.save()
    answer = acting.post(path) if path == STOP else acting.get(path)
    assert (answer.status_code, answer["Location"]) == (302, "/accounts/login/")
    assert who_is(acting) is None
    assert events()[1:] == [("impersonation.ended", operator.pk, person.pk, {"why": "expired"})]


def test_a_minute_before_it_goes_on(acting: Client, person: User):
    session = acting.session
    session["acting"] = [*session["acting"][:4], session["acting"][4] - 3540]
    session.save()
    assert acting.get(HOME).status_code == 200
    assert who_is(acting) == person.pk


def disable(user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)


def demote(user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_staff=False, is_superuser=False)


def promote(user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_staff=True)


def sign_out(user: User) -> None:
    sign_out_everywhere(user=user, actor=actor_of(user))


@pytest.mark.parametrize(
    ("whose", "change", "why"),
    [
        ("operator", disable, "not_allowed"),
        ("operator", demote, "not_allowed"),
        ("operator", sign_out, "operator_signed_out"),
        ("operator", User.delete, "operator_signed_out"),
        ("person", disable, "user_signed_out"),
        ("person", promote, "not_allowed"),
        ("person", sign_out, "user_signed_out"),
    ],
)
def test_it_ends_when_either_may_no_longer(
    acting: Client, operator: User, person: User, whose: str, change: Any, why: str
):
    ids = operator.pk, person.pk
    change({"operator": operator, "person": person}[whose])
    assert acting.get(HOME)["Location"] == "/accounts/login/"
    assert who_is(acting) is None
    assert events()[-1] == ("impersonation.ended", *ids, {"why": why})


FORM = {"oldpassword": "analytical-engine-1", "password1": "difference-engine-2", "password2": "difference-engine-2"}


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/accounts/password/change/", FORM),
        ("/accounts/password/set/", FORM),
        ("/accounts/email/", {"action_add": "", "email": "new@example.com"}),
        ("/accounts/email/", {"action_remove": "", "email": "ada@example.com"}),
        ("/accounts/2fa/totp/activate/", {"code": "000000"}),
        ("/accounts/2fa/recovery-codes/generate/", {}),
        ("/accounts/sessions/", {}),
        ("/accounts/sessions/everywhere/", {}),
        ("/accounts/3rdparty/", {}),
        ("/accounts/logout/", {}),
        ("/accounts/reauthenticate/", {"password": "analytical-engine-1"}),
    ],
)
def test_nothing_changes_while_acting(acting: Client, person: User, path: str, form: dict[str, str]):
    EmailAddress.objects.create(user=person, email="ada@example.com", verified=True, primary=True)
    before = User.objects.values().get(pk=person.pk), list(EmailAddress.objects.values())
    answer = acting.post(path, form)
    assert answer.status_code == 403
    assert "Not while you act as ada@example.com" in answer.content.decode()
    assert BANNER in answer.content.decode()
    assert (User.objects.values().get(pk=person.pk), list(EmailAddress.objects.values())) == before
    assert who_is(acting) == person.pk
    assert not Authenticator.objects.exists()


@pytest.mark.parametrize(
    "path",
    ["/accounts/2fa/", "/accounts/2fa/recovery-codes/", "/accounts/2fa/totp/activate/", "/accounts/reauthenticate/"],
)
def test_a_users_secrets_are_not_shown(acting: Client, path: str):
    assert acting.get(path).status_code == 403


def test_the_admin_is_closed_while_acting(acting: Client):
    assert acting.get("/admin/")["Location"] == "/admin/login/?next=/admin/"
    assert acting.get("/admin/login/").status_code == 403


def test_what_a_user_has_to_do_first_does_not_stop_an_operator(admin_client: Client, person: User):
    User.objects.filter(pk=person.pk).update(must_change_password=True)
    start(admin_client, person)
    assert admin_client.get(HOME).status_code == 200


def test_every_event_bears_the_operators_id(operator: User, person: User):
    impersonator.set(operator.pk)
    record(Action.USER_UPDATED, actor=actor_of(person))
    impersonator.set("")
    record(Action.USER_UPDATED, actor=actor_of(person))
    assert list(AuditEvent.objects.order_by("id").values_list("actor_id", "impersonator_id")) == [
        (person.pk, operator.pk),
        (person.pk, ""),
    ]


@pytest.mark.parametrize("over", ["wsgi", "asgi"])
def test_the_operator_is_known_while_a_page_is_made(acting: Client, operator: User, over: str):
    seen: list[tuple[str, str]] = []

    def look(template: Any, **_: Any) -> None:
        seen.append((template.name, impersonator.get()))

    template_rendered.connect(look)
    if over == "wsgi":
        acting.get(HOME)
    else:
        browser = AsyncClient()
        browser.cookies = acting.cookies
        assert async_to_sync(browser.get)(HOME).status_code == 200
    template_rendered.disconnect(look)
    assert ("account/home.html", operator.pk) in seen
    assert impersonator.get() == ""


def test_a_second_factor_is_asked_for_before_acting_too(admin_client: Client, person: User, settings: Any):
    settings.OPERATOR_MFA = True
    assert start(admin_client, person)["Location"] == "/accounts/2fa/"
    assert events() == []
