"""The pages with which people sign up, sign in and look after their accounts."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, ClassVar
from urllib.parse import quote

import pytest
from allauth.account.models import EmailAddress
from allauth.core.context import request_context
from allauth.usersessions.models import UserSession
from django.contrib.auth.hashers import MD5PasswordHasher
from django.contrib.auth.models import AnonymousUser
from django.contrib.messages.storage.cookie import CookieStorage
from django.core import mail
from django.core.cache import cache
from django.core.mail import EmailMessage
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from apps.accounts import invitations
from apps.accounts.forms import SignupForm
from apps.accounts.invitations import revoke_invitation, send_invitation
from apps.accounts.models import Invitation, User
from apps.accounts.people import add_user, change_user
from apps.accounts.sessions import issue_tokens
from apps.accounts.templatetags.accounts import device
from apps.audit.models import AuditEvent
from apps.audit.services import SYSTEM
from apps.core.errors import BadRequest, Conflict, RateLimited
from apps.organizations.models import Organization
from apps.projects.tasks import tidy_accounts
from tests.mailbox import link_in

BASE = "http://localhost:8000"
PASSWORD = "analytical-engine-1"
OnCommit = Callable[..., Any]


def sign_up(client: Client, email: str, password: str = PASSWORD) -> HttpResponse:
    return client.post("/accounts/signup/", {"email": email, "password1": password})


def sign_in(client: Client, email: str, password: str = PASSWORD, **more: str) -> HttpResponse:
    return client.post("/accounts/login/", {"login": email, "password": password, **more})


def is_signed_in(client: Client) -> bool:
    return client.get("/accounts/").status_code == 200


def follow(client: Client, message: EmailMessage) -> HttpResponse:
    """Open a mail's link and, where it leads to a form with one button, press it."""
    path = link_in(str(message.body)).removeprefix(BASE)
    answer = client.get(path)
    return client.post(path) if answer.status_code == 200 and "Yes, confirm it" in answer.text else answer


def events(action: str) -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(action=action).order_by("id"))


def words(answer: HttpResponse) -> str:
    """A page without what differs from one visit to the next."""
    return re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", answer.content.decode())


class CountingHasher(MD5PasswordHasher):
    """Counts the expensive thing, so that answers can be compared by what they cost."""

    algorithm = "counting"
    runs: ClassVar[int] = 0

    def encode(self, password: str, salt: str) -> str:
        type(self).runs += 1
        return super().encode(password, salt)


def cost_of(act: Callable[[], object]) -> int:
    before = CountingHasher.runs
    act()
    return CountingHasher.runs - before


@pytest.fixture
def counting(settings: Any) -> None:
    settings.PASSWORD_HASHERS = [f"{__name__}.CountingHasher"]


# --- Sign-up ---


def test_a_new_account_is_nobody_until_its_link_is_followed(client: Client, db: None):
    answer = sign_up(client, "Grace@Example.com")
    assert (answer.status_code, answer["location"]) == (302, "/accounts/confirm-email/")
    grace = User.objects.get()
    assert (grace.email, grace.has_guest_rights, is_signed_in(client)) == (None, True, False)
    assert [(row.target_id, row.actor_id, row.details) for row in events("user.added")] == [
        (grace.pk, grace.pk, {"email": "grace@example.com"})
    ]

    (message,) = mail.outbox
    answer = follow(client, message)
    assert (answer.status_code, answer["location"], is_signed_in(client)) == (302, "/accounts/", True)
    grace.refresh_from_db()
    assert (grace.email, grace.has_guest_rights) == ("grace@example.com", False)
    assert [row.target_id for row in events("user.email_verified")] == [grace.pk]
    assert [(row.actor_id, row.details) for row in events("login.succeeded")] == [(grace.pk, {"methods": []})]


def test_who_signs_up_without_a_name_gets_an_organization_without_an_id_for_one(client: Client, db: None):
    sign_up(client, "grace@example.com")
    assert [each.name for each in Organization.objects.of(User.objects.get().pk)] == ["Personal organization"]


def test_a_link_followed_elsewhere_confirms_and_signs_nobody_in(client: Client, db: None):
    sign_up(client, "grace@example.com")
    elsewhere = Client()
    form = elsewhere.get(follow(elsewhere, mail.outbox[0])["location"])["location"]
    assert not is_signed_in(elsewhere)
    assert User.objects.get().email == "grace@example.com"
    assert sign_in(elsewhere, "grace@example.com").status_code == 200  # whoever signed up may be somebody else
    assert elsewhere.post(form, {"password1": NEW, "password2": NEW})["location"].endswith("/key/done/")
    assert sign_in(elsewhere, "grace@example.com", NEW)["location"] == "/accounts/"
    assert not is_signed_in(client)


def test_who_typed_somebodys_address_keeps_no_way_into_the_account(upgraded: Any):
    made = upgraded(email="prey@example.com", password="of-the-attacker-1")
    bearer = {"authorization": f"Bearer {made['access_token']}"}
    assert Client().get("/v1/models", headers=bearer).status_code == 200
    prey = Client()
    answer = follow(prey, mail.outbox[0])
    assert "/password/reset/key/" in answer["location"]
    assert sign_in(Client(), "prey@example.com", "of-the-attacker-1").status_code == 200
    assert Client().get("/v1/models", headers=bearer).status_code == 401
    again = Client().post(
        "/v1/auth/refresh-token", {"refresh_token": made["refresh_token"]}, content_type="application/json"
    )
    assert again.status_code == 401
    user = User.objects.get(pk=made["user_id"])
    assert (user.email, user.has_usable_password()) == ("prey@example.com", False)
    assert [row.target_id for row in events("user.sessions_ended")] == [user.pk]


def test_a_second_address_confirmed_elsewhere_opens_nothing_and_ends_nothing(person: User, client: Client):
    sign_in(client, "ada@example.com")
    manage_addresses(client, email="b@example.com", action_add="")
    User.objects.filter(pk=person.pk).update(password="!")  # as of somebody who comes with a provider
    assert follow(Client(), mail.outbox.pop())["location"] == "/accounts/login/"
    assert EmailAddress.objects.get(email="b@example.com").verified
    assert events("user.sessions_ended") == []


def test_a_link_is_good_once(client: Client, db: None):
    sign_up(client, "grace@example.com")
    follow(client, mail.outbox[0])
    path = link_in(mail.outbox[0].body).removeprefix(BASE)
    for again in (client.get(path), client.post(path)):
        assert (again.status_code, "The link is not good" in again.text) == (200, True)


def test_a_password_says_nothing_before_the_address_is_confirmed(person: User, counting: None):
    """Or whoever signs up with an address and signs in with it would learn whether it has an account."""
    person.set_password("of-the-owner-22")
    person.save()

    def visit(email: str) -> tuple[int, str, int]:
        sign_up(Client(), email)
        browser, answers = Client(), []
        cost = cost_of(lambda: answers.append(sign_in(browser, email)))
        assert not is_signed_in(browser)
        return answers[0].status_code, words(answers[0]).replace(email, ""), cost

    assert visit("ada@example.com") == visit("new@example.com")
    assert (visit("newer@example.com")[0], visit("newer@example.com")[2]) == (200, 1)
    assert len(events("login.failed")) == 4


def test_the_mail_that_confirms_is_sent_again(client: Client, db: None):
    sign_up(client, "grace@example.com")
    page = client.get("/accounts/confirm-email/").text
    assert 'href="/accounts/password/reset/">Send it again' in page
    again = mail.outbox.pop()
    for wait in (False, True):
        if wait:
            cache.clear()  # one mail to an address in three minutes
        client.post("/accounts/password/reset/", {"email": "grace@example.com"})
        assert len(mail.outbox) == wait
    assert (mail.outbox[0].to, mail.outbox[0].subject) == (["grace@example.com"], again.subject)
    assert follow(client, mail.outbox[0])["location"] == "/accounts/"


def test_who_follows_the_link_has_the_address_and_who_claimed_it_has_not(client: Client, db: None):
    sign_up(Client(), "grace@example.com", "of-the-squatter-1")
    cache.clear()  # one mail to an address in three minutes
    sign_up(client, "grace@example.com", "of-the-owner-22")
    assert EmailAddress.objects.count() == 2
    follow(client, mail.outbox[1])
    owner = EmailAddress.objects.get().user
    assert (owner.email, owner.check_password("of-the-owner-22")) == ("grace@example.com", True)
    assert sign_in(Client(), "grace@example.com", "of-the-squatter-1").status_code == 200
    assert b"The link is not good" in client.get(link_in(mail.outbox[0].body).removeprefix(BASE)).content


def test_who_loses_an_address_has_a_guests_rights_and_life(upgraded: Any, client: Client):
    squatter = User.objects.get(pk=upgraded(email="grace@example.com")["user_id"])
    cache.clear()
    sign_up(client, "grace@example.com")
    follow(client, mail.outbox[-1])
    assert User.objects.get(email="grace@example.com").has_guest_rights is False
    squatter.refresh_from_db()
    assert (squatter.is_guest, squatter.has_guest_rights) == (True, True)


def test_no_claim_ends_another(upgraded: Any, counting: None):
    victim = User.objects.get(pk=upgraded(email="grace@example.com")["user_id"])
    for number in range(3):
        sign_up(Client(), "grace@example.com", f"of-squatter-number-{number}")
        upgraded(email="grace@example.com")
    assert cost_of(lambda: sign_in(Client(), "grace@example.com", "wrong-password-1")) == 1
    follow(Client(), mail.outbox[0])
    victim.refresh_from_db()
    assert (victim.email, victim.is_guest, EmailAddress.objects.count()) == ("grace@example.com", False, 1)


@pytest.mark.parametrize(
    ("typed", "known"),
    [
        ("Grace@ｃorp.test", "grace@corp.test"),
        ("grace@ﬀ.de", "grace@ff.de"),
        ("grace@Bücher.example", "grace@xn--bcher-kva.example"),
    ],
)
def test_an_address_has_one_spelling(client: Client, upgraded: Any, typed: str, known: str):
    sign_up(client, typed)
    assert EmailAddress.objects.get().email == known
    follow(client, mail.outbox[0])
    assert User.objects.get().email == known
    assert is_signed_in(client)
    assert sign_in(Client(), typed)["location"] == "/accounts/"
    assert sign_in(Client(), known, "wrong-password-1").status_code == 200
    assert [row.details["email"] for row in events("login.failed")] == [known]
    assert client.post("/accounts/email/", {"email": typed, "action_add": ""}).status_code == 200
    assert EmailAddress.objects.count() == 1
    cache.clear()
    mail.outbox.clear()
    Client().post("/accounts/password/reset/", {"email": typed})
    sign_up(Client(), typed)
    upgraded(email=typed)
    with pytest.raises(Conflict):
        send_invitation(email=typed, actor=SYSTEM)
    assert [message.to for message in mail.outbox] == [[known]] * 3
    assert [message.subject for message in mail.outbox] == [
        "Choose a new password",
        *["You have an account already"] * 2,
    ]


@pytest.mark.parametrize(("days", "is_left"), [(6.9, True), (7.1, False)])
def test_an_account_nobody_confirms_ends_after_a_week(person: User, client: Client, days: float, is_left: bool):
    User.objects.filter(pk=person.pk).update(created_at=timezone.now() - timedelta(days=400))
    sign_up(client, "grace@example.com")
    made = User.objects.exclude(pk=person.pk).get()
    User.objects.filter(pk=made.pk).update(created_at=timezone.now() - timedelta(days=days))
    tidy_accounts()
    assert User.objects.filter(pk=made.pk).exists() is is_left
    assert EmailAddress.objects.filter(email="grace@example.com").exists() is is_left
    assert EmailAddress.objects.filter(user=person).count() == 1


@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("no-address", PASSWORD),
        ("a" * 300 + "@example.com", PASSWORD),
        ("a\x00@example.com", PASSWORD),
        ("a@exam\u2028ple.de", PASSWORD),
        ("a@" + "ü" * 62 + ".de", PASSWORD),
        ("a@⑴.test", PASSWORD),
        ('"\x1c]:A"@example.com', PASSWORD),
        ("grace@example.com", "12345678"),
        ("grace@example.com", "short"),
        ("grace@example.com", "grace@example.com"),
    ],
)
def test_what_is_no_account_is_refused_beside_its_field(client: Client, db: None, email: str, password: str):
    answer = sign_up(client, email, password)
    assert answer.status_code == 200
    (field,) = answer.context["form"].errors
    assert f'aria-describedby="id_{field}' in answer.text
    assert re.search(rf'id="id_{field}_error"', answer.text)
    assert (User.objects.count(), mail.outbox) == (0, [])


@pytest.mark.parametrize(
    ("mode", "sentence"), [("closed", "made by this server&#x27;s operators"), ("invitation", "made by invitation")]
)
def test_nobody_signs_up_where_sign_up_is_not_open(client: Client, db: None, settings: Any, mode: str, sentence: str):
    settings.SIGNUP = mode
    assert "Create an account" not in client.get("/accounts/login/").text
    answer = sign_up(client, "grace@example.com")
    assert sentence.replace("&#x27;", "'") in answer.text
    assert (User.objects.count(), mail.outbox) == (0, [])


# --- The same answer for a known and an unknown address ---


def test_sign_up_answers_the_same_and_mails_something_else(person: User, counting: None):
    def visit(email: str) -> tuple[int, str, str, int]:
        client = Client()
        answer = sign_up(client, email)
        page = words(client.get(answer["location"])).replace(email, "")
        return answer.status_code, answer["location"], page, len(client.cookies)

    assert visit("ada@example.com") == visit("new@example.com")
    assert cost_of(lambda: sign_up(Client(), "ada@example.com")) == 1
    assert cost_of(lambda: sign_up(Client(), "newer@example.com")) == 1
    assert [(message.to, message.subject) for message in mail.outbox] == [
        (["ada@example.com"], "You have an account already"),
        (["new@example.com"], "Confirm your e-mail address"),
        (["newer@example.com"], "Confirm your e-mail address"),
    ]
    assert (person.emailaddress_set.count(), User.objects.filter(email="ada@example.com").count()) == (1, 1)


def test_a_failed_sign_in_answers_the_same(person: User, counting: None):
    person.set_password(PASSWORD)
    person.save()

    def visit(email: str) -> tuple[int, str]:
        answer = sign_in(Client(), email, "wrong-password-1")
        return answer.status_code, words(answer).replace(email, "")

    assert visit("ada@example.com") == visit("new@example.com")
    assert "The e-mail address or the password is wrong." in visit("ada@example.com")[1]
    assert cost_of(lambda: visit("ada@example.com")) == cost_of(lambda: visit("new@example.com")) == 1
    failed = events("login.failed")
    assert [(row.actor_kind, row.target_id, row.details) for row in failed[:2]] == [
        ("anonymous", person.pk, {"email": "ada@example.com"}),
        ("anonymous", "", {"email": "new@example.com"}),
    ]


def test_a_reset_answers_the_same_and_mails_something_else(person: User):
    def visit(email: str) -> tuple[int, str, str]:
        client = Client()
        answer = client.post("/accounts/password/reset/", {"email": email})
        return answer.status_code, answer["location"], words(client.get(answer["location"]))

    assert visit("ada@example.com") == visit("new@example.com")
    assert [(message.to, message.subject) for message in mail.outbox] == [
        (["ada@example.com"], "Choose a new password"),
        (["new@example.com"], "There is no account with this address"),
    ]


def test_who_only_claimed_an_address_gets_no_link_to_it(client: Client, db: None):
    sign_up(client, "grace@example.com", "of-the-squatter-1")
    mail.outbox.clear()
    cache.clear()
    client.post("/accounts/password/reset/", {"email": "grace@example.com"})
    assert ["/password/reset/key/" in message.body for message in mail.outbox] == [False]


def test_adding_somebodys_address_answers_as_for_any_other(person: User, client: Client):
    User.objects.create_user("grace@example.com", PASSWORD)
    sign_in(client, "ada@example.com")
    for email in ("grace@example.com", "new@example.com"):
        manage_addresses(client, email=email, action_add="")
        assert f"We sent a link to {email}." in client.get("/accounts/email/").text
    assert EmailAddress.objects.filter(user=person).count() == 3


# --- Addresses ---


def manage_addresses(client: Client, **form: str) -> HttpResponse:
    """Change something on the page of addresses, giving the password when asked for it."""
    answer = client.post("/accounts/email/", form)
    if "/reauthenticate/" not in answer["location"]:
        return answer
    return client.post(answer["location"], {"password": PASSWORD, "next": "/accounts/email/"})


def test_an_address_is_added_confirmed_made_the_main_one_and_removed(person: User, client: Client):
    sign_in(client, "ada@example.com")
    assert (
        "/reauthenticate/" in client.post("/accounts/email/", {"email": "b@example.com", "action_add": ""})["location"]
    )
    assert EmailAddress.objects.filter(user=person).count() == 1

    manage_addresses(client, email="b@example.com", action_add="")
    follow(client, mail.outbox.pop())
    manage_addresses(client, email="b@example.com", action_primary="")
    person.refresh_from_db()
    assert person.email == "b@example.com"
    assert [(message.to, message.subject) for message in mail.outbox] == [
        (["ada@example.com"], "Your main e-mail address was changed")
    ]
    manage_addresses(client, email="ada@example.com", action_remove="")
    assert [row.email for row in EmailAddress.objects.filter(user=person)] == ["b@example.com"]
    assert [row.details for row in events("user.updated")] == [
        {"email_added": "b@example.com"},
        {"email": ["ada@example.com", "b@example.com"]},
        {"email_removed": "ada@example.com"},
    ]


def test_the_main_address_stays(person: User, client: Client):
    sign_in(client, "ada@example.com")
    manage_addresses(client, email="ada@example.com", action_remove="")
    assert "ada@example.com is your main address." in client.get("/accounts/email/").text
    assert EmailAddress.objects.filter(user=person).count() == 1


def test_an_address_of_somebody_else_is_never_confirmed(person: User, client: Client):
    other = User.objects.create_user("grace@example.com", PASSWORD)
    EmailAddress.objects.create(user=other, email="grace@example.com", verified=True, primary=True)
    sign_in(client, "ada@example.com")
    manage_addresses(client, email="grace@example.com", action_add="")
    path = link_in(mail.outbox.pop().body).removeprefix(BASE)
    assert "belongs to another account" in client.get(path).text
    client.post(path)
    assert [row.user_id for row in EmailAddress.objects.filter(email="grace@example.com", verified=True)] == [other.pk]
    other.refresh_from_db()
    assert other.email == "grace@example.com"


# --- Invitations ---


@pytest.fixture
def invite(django_capture_on_commit_callbacks: OnCommit) -> Callable[[str], str]:
    """Invite somebody and return the path of the mailed link."""

    def invited(email: str) -> str:
        with django_capture_on_commit_callbacks(execute=True):
            send_invitation(email=email, actor=SYSTEM)
        return link_in(mail.outbox[-1].body).removeprefix(BASE)

    return invited


@pytest.mark.parametrize("mode", ["open", "invitation"])
def test_an_invitation_makes_an_account_with_a_proven_address(
    client: Client, db: None, settings: Any, invite: Callable[[str], str], mode: str
):
    settings.SIGNUP = mode
    path = invite("Grace@Example.com")
    assert [(row.actor_kind, row.details) for row in events("invite.sent")] == [
        ("system", {"email": "grace@example.com"})
    ]
    page = client.get(path, follow=True)
    assert (page.request["PATH_INFO"], 'value="grace@example.com"' in page.text) == ("/accounts/signup/", True)
    # The form's address is not asked: the link speaks for one only.
    assert sign_up(client, "somebody.else@example.com")["location"] == "/accounts/"
    grace = User.objects.get()
    assert (grace.email, is_signed_in(client)) == ("grace@example.com", True)
    assert EmailAddress.objects.get().verified
    assert len(mail.outbox) == 1

    used = Client().get(path)
    assert (used.status_code, "The invitation is not good" in used.text) == (404, True)


def test_an_invitation_used_twice_at_once_makes_one_account(
    client: Client, rf: Any, db: None, invite: Callable[[str], str]
):
    client.get(invite("grace@example.com"))
    request = rf.post("/accounts/signup/", {"password1": PASSWORD})
    request.session, request.user = client.session, AnonymousUser()
    request.allauth, request._messages = SimpleNamespace(), CookieStorage(request)
    with request_context(request):
        slower = SignupForm(request.POST)
        assert slower.is_valid()
        assert sign_up(client, "grace@example.com")["location"] == "/accounts/"
        user, answer = slower.try_save(request)
    assert (user, answer["location"]) == (None, "/accounts/confirm-email/")
    assert User.objects.count() == 1


def test_an_invitation_takes_the_address_from_who_claimed_it(client: Client, db: None, invite: Callable[[str], str]):
    sign_up(Client(), "grace@example.com", "of-the-squatter-1")
    client.get(invite("grace@example.com"))
    sign_up(client, "grace@example.com", "of-the-owner-22")
    assert EmailAddress.objects.get().user.check_password("of-the-owner-22")


def test_a_used_invitation_makes_no_second_account(client: Client, db: None, settings: Any, invite: Any):
    settings.SIGNUP = "invitation"
    client.get(invite("grace@example.com"))
    sign_up(client, "grace@example.com")
    client.post("/accounts/logout/")
    assert "made by invitation" in sign_up(client, "second@example.com").text
    assert User.objects.count() == 1


@pytest.mark.parametrize("how", ["forged", "expired", "revoked", "replaced", "closed"])
def test_an_invitation_that_is_not_good_opens_nothing(
    client: Client, db: None, settings: Any, invite: Callable[[str], str], how: str
):
    settings.SIGNUP = "invitation"
    path = invite("grace@example.com")
    invitation = Invitation.objects.get()
    if how == "forged":
        path = path[:-2] + ("a/" if path[-2] == "b" else "b/")
    elif how == "expired":
        Invitation.objects.update(expires_at=timezone.now())
    elif how == "revoked":
        assert revoke_invitation(invitation=invitation, actor=SYSTEM)
        assert not revoke_invitation(invitation=invitation, actor=SYSTEM)
    elif how == "replaced":
        assert invite("grace@example.com") != path
    else:
        settings.SIGNUP = "closed"
    answer = client.get(path)
    assert (answer.status_code, "The invitation is not good" in answer.text) == (404, True)
    sign_up(client, "grace@example.com")
    assert not User.objects.get_queryset().exists()
    assert len(events("invite.deleted")) == (how == "revoked")


@pytest.mark.parametrize("how", ["expired", "revoked", "replaced"])
def test_an_invitation_that_ended_after_it_was_followed_opens_nothing(
    client: Client, db: None, settings: Any, invite: Callable[[str], str], how: str
):
    settings.SIGNUP = "invitation"
    client.get(invite("grace@example.com"))
    assert client.get("/accounts/signup/").context["form"].invited == "grace@example.com"
    if how == "replaced":
        invite("grace@example.com")
    else:
        Invitation.objects.update(**{"expires_at" if how == "expired" else "revoked_at": timezone.now()})
    assert "made by invitation" in sign_up(client, "grace@example.com").text
    assert not User.objects.get_queryset().exists()


@pytest.mark.parametrize("way", ["by the link", "by herself", "by an operator"])
def test_the_link_does_not_open_again_once_the_address_had_an_account(
    client: Client, db: None, settings: Any, invite: Callable[[str], str], way: str
):
    path = invite("grace@example.com")
    if way == "by the link":
        client.get(path)
        sign_up(client, "grace@example.com")
    elif way == "by herself":
        sign_up(client, "grace@example.com")
        follow(client, mail.outbox[-1])
    else:
        add_user(user=User(email="grace@example.com"), actor=SYSTEM)
    grace = User.objects.get()
    grace.email = "grace@elsewhere.example"
    change_user(user=grace, fields=["email"], actor=SYSTEM)
    settings.SIGNUP = "invitation"
    assert Client().get(path).status_code == 404
    assert Invitation.objects.get().state == "accepted"


def test_what_is_kept_of_an_invitation_opens_nothing(client: Client, db: None, invite: Callable[[str], str]):
    path = invite("grace@example.com")
    kept = Invitation.objects.get().token_digest
    secret = path.removeprefix("/accounts/invitation/").rstrip("/")
    assert (len(secret), len(kept), secret in kept) == (32, 64, False)
    assert client.get(path.replace(secret, kept)).status_code == 404
    assert client.get(path.replace(secret, kept[:32])).status_code == 404


def test_an_address_is_sent_so_many_invitations_and_no_more(db: None, django_capture_on_commit_callbacks: OnCommit):
    with django_capture_on_commit_callbacks(execute=True):
        for _ in range(5):
            send_invitation(email="grace@example.com", actor=SYSTEM)
        with pytest.raises(RateLimited):
            send_invitation(email="GRACE@example.com", actor=SYSTEM)
        send_invitation(email="other@example.com", actor=SYSTEM)
    assert [message.to for message in mail.outbox] == [["grace@example.com"]] * 5 + [["other@example.com"]]
    assert [row.email for row in Invitation.objects.order_by("pk")] == ["grace@example.com", "other@example.com"]


def test_an_invitation_does_not_change_hands_in_a_signed_in_browser(person: User, client: Client, invite: Any):
    sign_in(client, "ada@example.com")
    assert "you are signed in as" in client.get(invite("grace@example.com")).text
    assert User.objects.count() == 1


def test_there_are_addresses_that_are_not_invited(person: User, settings: Any):
    with pytest.raises(Conflict) as taken:
        send_invitation(email="ADA@example.com", actor=SYSTEM)
    with pytest.raises(BadRequest) as bad:
        send_invitation(email="a" * 300 + "@example.com", actor=SYSTEM)
    settings.SIGNUP = "closed"
    with pytest.raises(Conflict) as closed:
        send_invitation(email="new@example.com", actor=SYSTEM)
    assert [taken.value.code, bad.value.param, closed.value.code] == ["email_taken", "email", "signup_closed"]
    assert (mail.outbox, events("invite.sent")) == ([], [])


def test_an_invitation_lasts_a_week():
    assert invitations.LIFE.days == 7


# --- Sign-in and where it leads ---


def test_people_come_to_their_account_and_operators_to_the_admin(person: User, client: Client):
    assert sign_in(client, "ada@example.com")["location"] == "/accounts/"
    (event,) = events("login.succeeded")
    assert (event.actor_id, event.details) == (person.pk, {"methods": ["password"]})
    User.objects.filter(pk=person.pk).update(is_staff=True, is_superuser=True)
    assert sign_in(Client(), "ada@example.com")["location"] == "/admin/"


@pytest.mark.parametrize(
    ("wanted", "reached"),
    [
        ("/accounts/email/", "/accounts/email/"),
        ("http://localhost:8000/accounts/email/", "http://localhost:8000/accounts/email/"),
        ("https://evil.example/", "/accounts/"),
        ("//evil.example/", "/accounts/"),
        ("/\\evil.example/", "/accounts/"),
        ("http:///evil.example/", "/accounts/"),
        ("javascript:alert(1)", "/accounts/"),
        ("http://127.0.0.1:4444/", "/accounts/"),  # an allowed Host header, and not where clients go
        ("http://localhost:8000@evil.example/", "/accounts/"),
        ("http://testserver/", "/accounts/"),
    ],
)
def test_sign_in_leads_to_this_server_only(person: User, client: Client, wanted: str, reached: str):
    assert sign_in(client, "ada@example.com", next=wanted)["location"] == reached


def test_another_host_header_is_not_another_five_attempts(person: User):
    for port in range(5):
        client = Client(headers={"host": f"localhost:{port + 1}"})
        assert sign_in(client, "ada@example.com", "wrong-password-1").status_code == 200
    client = Client()
    assert sign_in(client, "ada@example.com").status_code == 429
    assert not is_signed_in(client)


def test_signing_out_ends_the_session_and_is_audited(person: User, client: Client):
    sign_in(client, "ada@example.com")
    assert UserSession.objects.filter(user=person).count() == 1
    client.post("/accounts/logout/")
    assert (is_signed_in(client), UserSession.objects.filter(user=person).count()) == (False, 0)
    assert [row.actor_id for row in events("logout.succeeded")] == [person.pk]


# --- Passwords ---


@dataclass
class Everywhere:
    """Somebody signed in in two browsers and, with a token, in a program."""

    user: User
    here: Client
    there: Client
    token: str

    def where(self) -> dict[str, bool]:
        asked = Client().get("/v1/models", headers={"authorization": f"Bearer {self.token}"}).status_code
        return {"here": is_signed_in(self.here), "there": is_signed_in(self.there), "token": asked == 200}


@pytest.fixture
def upgraded(db: None, django_capture_on_commit_callbacks: OnCommit) -> Callable[..., dict[str, str]]:
    """Make an account of a guest, over the API. Its confirmation is mailed."""

    def make(**body: str) -> dict[str, str]:
        made: dict[str, str] = Client().post("/v1/auth/guest-login").json()
        bearer = {"authorization": f"Bearer {made['access_token']}"}
        with django_capture_on_commit_callbacks(execute=True):
            answer = Client().post("/v1/auth/upgrade", body, content_type="application/json", headers=bearer)
        assert answer.status_code == 200
        return made

    return make


@pytest.fixture
def everywhere(person: User, rf: Any) -> Everywhere:
    request = rf.get("/")
    request.session, request.user = Client().session, AnonymousUser()
    token = issue_tokens(request, person)["access_token"]
    here, there = Client(), Client(headers={"user-agent": "The lost laptop"})
    for browser in (here, there):
        assert sign_in(browser, "ada@example.com").status_code == 302
    found = Everywhere(person, here, there, token)
    assert found.where() == {"here": True, "there": True, "token": True}
    return found


NEW = "a-newer-engine-22"


def test_changing_the_password_ends_every_other_session_and_token(everywhere: Everywhere):
    User.objects.filter(pk=everywhere.user.pk).update(must_change_password=True)
    form = {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW}
    assert everywhere.here.post("/accounts/password/change/", form)["location"] == "/accounts/"
    assert everywhere.where() == {"here": True, "there": False, "token": False}
    everywhere.user.refresh_from_db()
    assert (everywhere.user.check_password(NEW), everywhere.user.must_change_password) == (True, False)
    assert [row.actor_id for row in events("user.password_changed")] == [everywhere.user.pk]
    (message,) = mail.outbox
    assert (message.to, message.subject) == (["ada@example.com"], "Your password was changed")
    assert "127.0.0.1" in message.body


@pytest.mark.parametrize(
    "form",
    [
        {"oldpassword": "wrong-password-1", "password1": NEW, "password2": NEW},
        {"oldpassword": PASSWORD, "password1": NEW, "password2": "another-engine-33"},
        {"oldpassword": PASSWORD, "password1": "12345678", "password2": "12345678"},
    ],
)
def test_a_password_is_not_changed_by_halves(everywhere: Everywhere, form: dict[str, str]):
    answer = everywhere.here.post("/accounts/password/change/", form)
    assert (answer.status_code, len(answer.context["form"].errors)) == (200, 1)
    assert everywhere.where() == {"here": True, "there": True, "token": True}
    everywhere.user.refresh_from_db()
    assert everywhere.user.check_password(PASSWORD)
    assert mail.outbox == []


def test_a_reset_ends_every_session_and_token(everywhere: Everywhere):
    stranger = Client()
    stranger.post("/accounts/password/reset/", {"email": "ada@example.com"})
    form = follow(stranger, mail.outbox.pop())["location"]
    assert "set-password" in form  # the secret is not in the address of the page
    assert stranger.post(form, {"password1": NEW, "password2": NEW})["location"] == "/accounts/password/reset/key/done/"
    assert everywhere.where() == {"here": False, "there": False, "token": False}
    assert not is_signed_in(stranger)
    assert mail.outbox[0].subject == "Your password was changed"
    assert sign_in(stranger, "ada@example.com", NEW)["location"] == "/accounts/"


def test_a_reset_in_ones_own_browser_keeps_that_one(everywhere: Everywhere):
    everywhere.here.post("/accounts/password/reset/", {"email": "ada@example.com"})
    form = follow(everywhere.here, mail.outbox.pop())["location"]
    assert everywhere.here.post(form, {"password1": NEW, "password2": NEW}).status_code == 302
    assert everywhere.where() == {"here": True, "there": False, "token": False}


def test_a_reset_link_is_good_once(person: User, client: Client):
    client.post("/accounts/password/reset/", {"email": "ada@example.com"})
    path = link_in(mail.outbox[0].body).removeprefix(BASE)
    client.post(client.get(path)["location"], {"password1": NEW, "password2": NEW})
    again = Client().get(path)
    assert "The link is not good" in again.text
    person.refresh_from_db()
    assert person.check_password(NEW)


def test_a_reset_link_ends_after_an_hour(person: User, client: Client, settings: Any):
    client.post("/accounts/password/reset/", {"email": "ada@example.com"})
    path = link_in(mail.outbox[0].body).removeprefix(BASE)
    assert settings.PASSWORD_RESET_TIMEOUT == 3600
    settings.PASSWORD_RESET_TIMEOUT = -1
    assert "The link is not good" in client.get(path).text


def test_a_disabled_account_gets_no_link(person: User, client: Client):
    User.objects.filter(pk=person.pk).update(is_active=False)
    client.post("/accounts/password/reset/", {"email": "ada@example.com"})
    assert [message.subject for message in mail.outbox] == ["There is no account with this address"]
    assert sign_in(client, "ada@example.com")["location"] == "/accounts/inactive/"


@pytest.mark.parametrize("given", [{}, {"password": PASSWORD}])
def test_an_account_made_of_a_guest_is_led_to_choose_a_password(upgraded: Any, client: Client, given: dict[str, str]):
    made = upgraded(email="ada@example.com", **given)
    form = client.get(follow(client, mail.outbox.pop())["location"])["location"]
    assert "ada@example.com is confirmed." in client.get(form).text
    client.post(form, {"password1": NEW, "password2": NEW})
    assert sign_in(client, "ada@example.com", NEW)["location"] == "/accounts/"
    bearer = {"authorization": f"Bearer {made['access_token']}"}
    # Whoever held the guest's token and typed somebody's address has nothing of it now.
    assert Client().get("/v1/models", headers=bearer).status_code == 401


# --- Sessions ---


def test_the_sessions_page_lists_browsers_and_programs(everywhere: Everywhere):
    page = everywhere.here.get("/accounts/sessions/")
    assert (len(page.context["sessions"]), page.text.count("This one")) == (3, 1)
    assert "The lost laptop" in page.text


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0; Win64) AppleWebKit/537 Chrome/156.0 Safari/537 Edg/156.0", "Edge on Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1", "Safari on iPhone"),
        ("OpenAI/Python 3.51.0", "OpenAI SDK"),
        ("curl/8.9.1", "curl/8.9.1"),
        ("", "An unnamed program"),
    ],
)
def test_programs_are_called_what_people_call_them(user_agent: str, name: str):
    assert device(user_agent) == name


def test_signing_out_everywhere_else(everywhere: Everywhere):
    answer = everywhere.here.post("/accounts/sessions/everywhere/")
    assert "You are signed out everywhere else." in everywhere.here.get(answer["location"]).text
    assert everywhere.where() == {"here": True, "there": False, "token": False}
    assert [row.actor_id for row in events("user.sessions_ended")] == [everywhere.user.pk]


def test_allauths_own_form_ends_tokens_too(everywhere: Everywhere):
    everywhere.here.post("/accounts/sessions/")
    assert everywhere.where() == {"here": True, "there": False, "token": False}


def test_one_session_is_ended_by_itself(everywhere: Everywhere):
    lost = UserSession.objects.get(user_agent="The lost laptop")
    assert everywhere.here.post(f"/accounts/sessions/{lost.pk}/end/").status_code == 302
    assert everywhere.where() == {"here": True, "there": False, "token": True}
    program = UserSession.objects.exclude(session_key=everywhere.here.session.session_key).get()
    everywhere.here.post(f"/accounts/sessions/{program.pk}/end/")
    assert everywhere.where() == {"here": True, "there": False, "token": False}


def test_nobody_ends_somebody_elses_session(everywhere: Everywhere, client: Client):
    User.objects.create_user("eve@example.com", PASSWORD)
    EmailAddress.objects.create(user=User.objects.get(email="eve@example.com"), email="eve@example.com", verified=True)
    sign_in(client, "eve@example.com")
    for session in UserSession.objects.filter(user=everywhere.user):
        assert client.post(f"/accounts/sessions/{session.pk}/end/").status_code == 302
    client.post("/accounts/sessions/everywhere/")
    assert everywhere.where() == {"here": True, "there": True, "token": True}
    assert [row.actor_id for row in events("user.sessions_ended")] != [everywhere.user.pk]


@pytest.mark.parametrize("path", ["/accounts/sessions/everywhere/", "/accounts/sessions/1/end/"])
def test_a_link_ends_no_session(everywhere: Everywhere, path: str):
    assert everywhere.here.get(path).status_code == 405
    assert everywhere.where() == {"here": True, "there": True, "token": True}


# --- Every page ---

FOR_STRANGERS = ("login/", "signup/", "password/reset/", "password/reset/done/", "confirm-email/", "inactive/")
FOR_PEOPLE = ("", "email/", "password/change/", "sessions/", "logout/")


@pytest.mark.parametrize("page", FOR_STRANGERS)
def test_pages_for_strangers_need_no_script_and_break_no_policy(client: Client, db: None, page: str):
    check_page(client.get(f"/accounts/{page}"))


@pytest.mark.parametrize("page", FOR_PEOPLE)
def test_pages_for_people_need_no_script_and_break_no_policy(person: User, client: Client, page: str):
    assert client.get(f"/accounts/{page}").status_code == 302
    sign_in(client, "ada@example.com")
    check_page(client.get(f"/accounts/{page}"))


def check_page(answer: HttpResponse) -> None:
    text = answer.content.decode()
    assert answer.status_code == 200
    policy = set(answer["content-security-policy"].split("; "))
    assert {"default-src 'none'", "script-src 'self'", "style-src 'self'", "form-action 'self'"} <= policy
    assert "no-store" in answer["cache-control"]
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", text)
    assert not re.findall(r"<script(?![^>]*(?:\bsrc=|application/json))", text)
    assert len(re.findall(r"<h1[ >]", text)) == 1
    named = set(re.findall(r'<label for="([^"]+)"', text))
    seen = re.findall(r"<input(?![^>]*type=.hidden)[^>]*>", text)
    assert [
        tag for tag in seen if not re.search(r'id="([^"]+)"', tag) or re.search(r'id="([^"]+)"', tag)[1] not in named
    ] == []
    for described in re.findall(r'aria-describedby="([^"]+)"', text):
        assert all(f'id="{name}"' in text for name in described.split())


def test_the_admin_tells_people_that_it_is_not_for_them(person: User, client: Client):
    sign_in(client, "ada@example.com")
    answer = client.get("/admin/login/?next=/admin/")
    assert (answer.status_code, "Not for you" in answer.text) == (403, True)


def test_too_many_changes_at_once_are_answered_by_a_page_of_ours(person: User, client: Client):
    sign_in(client, "ada@example.com")
    form = {"oldpassword": "wrong-password-1", "password1": NEW, "password2": NEW}
    answers = [client.post("/accounts/password/change/", form) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert answers[-1]["retry-after"] == "60"
    assert "console/page.css" in answers[-1].text


def test_a_stale_form_is_answered_by_a_page_of_ours(db: None):
    answer = sign_in(Client(enforce_csrf_checks=True), "ada@example.com")
    assert (answer.status_code, "The form is out of date" in answer.text) == (403, True)


ODD = [
    "\x00",
    "é\u2028\ud7ff💥",
    "a" * 5000 + "@example.com",
    "a@exam\u2028ple.de",
    "a@" + "ü" * 62 + ".de",
    '"\x01\x7f"@example.com',
    "ada@example.com\r\nBcc: all@example.com",
    "{{ user }}<script>alert(1)</script>",
    "-1",
    "9" * 40,
]


@pytest.mark.parametrize("odd", ODD)
def test_no_input_is_a_servers_error(person: User, odd: str):
    browser, stranger = Client(raise_request_exception=False), Client(raise_request_exception=False)
    sign_in(browser, "ada@example.com")
    everything = dict.fromkeys(
        ("login", "email", "password", "password1", "password2", "oldpassword", "next", "remember", "action_add"), odd
    )
    pages = [f"/accounts/{page}" for page in ("login/", "signup/", "password/reset/", "email/", "password/change/")]
    quoted = quote(odd, safe="")
    pages += [
        f"/accounts/{page}/"
        for page in (
            f"invitation/{quoted}",
            f"confirm-email/{quoted}",
            f"password/reset/key/user_1-{quoted}",
            f"password/reset/key/{quoted}-set-password",
            f"sessions/{quoted}/end",
            "sessions/everywhere",
            "reauthenticate",
        )
    ]
    for who in (stranger, browser):
        for page in pages:
            seen = (who.get(page, {"next": odd, "email": odd}), who.post(page, everything))
            assert [answer.status_code for answer in seen if answer.status_code >= 500] == [], page
            for answer in seen:
                if answer["content-type"].startswith("text/html"):
                    assert "<script>alert(1)" not in answer.text
    assert User.objects.count() == 1
