"""Inviting people to an organization, and answering, over the API."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from apps.accounts.links import digest_of, shown_secret
from apps.accounts.models import User
from apps.accounts.sessions import actor_of
from apps.audit.models import AuditEvent
from apps.core.ids import new_id
from apps.organizations.models import (
    CustomRole,
    Invite,
    Membership,
    Organization,
    OrganizationRoleAssignment,
    ResourceType,
)
from apps.organizations.roles import Role, Scope
from apps.projects.invites import send_invite
from apps.projects.models import Project, ProjectMembership
from apps.projects.tasks import expire_invites
from tests.api_keys.conftest import Caller, sign_up, token_of
from tests.projects.conftest import Acme

INVITES = "/v1/organization/invites"
GRACE = "grace@example.com"
KEYS = {
    "id", "object", "email", "role", "status", "status_detail", "created_at", "expires_at", "accepted_at", "invited_by",
    "message", "projects",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _fresh_limits() -> None:
    cache.clear()


@pytest.fixture
def acme(acme: Acme) -> Acme:
    """Acme as a company has it: not what came with its owner's account, so that it can have more owners."""
    Organization.objects.filter(pk=acme.organization.pk).update(is_personal=False)
    acme.organization.refresh_from_db()
    return acme


@dataclass
class Invited:
    """An invite as it was answered, and both of its secrets."""

    document: dict[str, Any]
    shown: str
    mailed: str

    @property
    def path(self) -> str:
        return f"{INVITES}/{self.document['id']}"

    @property
    def row(self) -> Invite:
        return Invite.objects.get(public_id=self.document["id"])

    def look(self, secret: str) -> tuple[int, Any]:
        answer = Client().get(self.path, {"token": secret})
        return answer.status_code, answer.json()

    def answer(self, who: Caller, how: str = "accept", secret: str | None = None) -> tuple[int, Any]:
        answer = who.call("POST", f"{self.path}/{how}", {"token": secret or self.mailed})
        return answer.status_code, answer.json()


def secret_in(text: str) -> str:
    links = [word for word in text.split() if "token=" in word]
    assert len(links) == 1
    (secret,) = parse_qs(urlsplit(links[0]).query)["token"]
    return secret


@pytest.fixture
def invite(acme: Acme, django_capture_on_commit_callbacks: Any) -> Callable[..., Invited]:
    def invited(email: str = GRACE, role: str = "member", by: Caller | None = None, **fields: Any) -> Invited:
        with django_capture_on_commit_callbacks(execute=True):
            answer = (by or acme.admin).call("POST", INVITES, {"email": email, "role": role, **fields})
        assert answer.status_code == 200, answer.json()
        return Invited(answer.json(), secret_in(answer.json()["invite_url"]), secret_in(str(mail.outbox[-1].body)))

    return invited


def new_person(email: str = GRACE, *, is_verified: bool = True) -> Caller:
    person = sign_up(email)
    EmailAddress.objects.create(user=person.user, email=email, verified=is_verified, primary=True)
    return person


@pytest.fixture
def grace(db: None) -> Caller:
    return new_person()


def events(acme: Acme) -> list[tuple[str, str, dict[str, Any]]]:
    of_acme = AuditEvent.objects.filter(organization=acme.organization.public_id).order_by("pk")
    return [(event.action, event.actor_id, event.details) for event in of_acme]


def refusal(answer: Any) -> tuple[int, str, str | None]:
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["param"]


def roles_of(person: Caller, acme: Acme) -> list[str]:
    return [each.role for each in Membership.objects.filter(organization=acme.organization, user=person.user)]


# --- Sent ---


def test_an_invite_is_what_the_seeds_and_the_sdk_say(acme: Acme, invite: Callable[..., Invited]):
    sent = invite(message="Welcome to our organization!", expires_in_days=7)
    document = sent.document
    assert set(document) == {*KEYS, "invite_url"}
    assert (document["id"][:4], document["object"], document["email"], document["role"]) == (
        "inv_", "organization.invite", GRACE, "member",
    )  # fmt: skip
    assert (document["status"], document["status_detail"], document["accepted_at"]) == ("pending", "pending", None)
    assert document["expires_at"] - document["created_at"] == 7 * 86400
    assert (document["invited_by"], document["projects"]) == ("admin@acme.example", [])
    assert document["invite_url"].startswith("http://localhost:8000/accounts/invite/?token=")
    assert events(acme) == [
        ("invite.sent", acme.admin.user.pk, {"email": GRACE, "role": "member", "projects": []}),
    ]  # fmt: skip


def test_of_a_secret_only_a_digest_is_kept(invite: Callable[..., Invited]):
    sent = invite()
    assert (len(sent.mailed), len(sent.shown), sent.mailed == sent.shown) == (32, 32, False)
    assert (shown_secret(sent.mailed), digest_of(sent.mailed)) == (sent.shown, sent.row.token_digest)
    assert [secret for secret in (sent.mailed, sent.shown) if secret in str(list(Invite.objects.values()))] == []
    assert [secret for secret in (sent.mailed, sent.shown) if secret in str(list(AuditEvent.objects.values()))] == []


def test_the_mail_says_who_invites_whom_to_what(acme: Acme, invite: Callable[..., Invited]):
    acme.organization.name = "Acme\nBcc: <all@example.com>\u202e"
    acme.organization.save()
    message = "Hello.\n\nReset your password:\nhttp://localhost:8000/accounts/logout/\n<b>now</b>\x07"
    sent = invite(message=message)
    (posted,) = mail.outbox
    html = str(posted.alternatives[0][0])
    assert (posted.to, posted.subject) == ([GRACE], "admin@acme.example invites you to Acme Bcc: <all@example.com>")
    assert str(posted.body).splitlines()[:10] == [
        f"admin@acme.example invites {GRACE} to Acme Bcc: <all@example.com> on Jan Server. Your role there will be: member.",
        "",
        "admin@acme.example writes:",
        "",
        "> Hello.",
        "> ",
        "> Reset your password:",
        "> http://localhost:8000/accounts/logout/",
        "> <b>now</b>",
        "",
    ]
    assert html.count("<a ") == 1
    assert f'href="http://localhost:8000/accounts/invite/?token={sent.mailed}"' in html
    assert ("<b>" in html, "&lt;b&gt;now&lt;/b&gt;" in html, "<blockquote" in html) == (False, True, True)


def test_the_operators_own_page_gets_the_secret_and_the_id(invite: Callable[..., Invited], settings: Any):
    settings.INVITE_REDIRECT_URL = "https://app.example.com/invite?from=mail"
    sent = invite()
    start = "https://app.example.com/invite?from=mail&token="
    assert sent.document["invite_url"] == f"{start}{sent.shown}&invite_id={sent.document['id']}"
    assert f"{start}{sent.mailed}&invite_id={sent.document['id']}" in str(mail.outbox[0].body)
    assert str(mail.outbox[0].alternatives[0][0]).count("<a ") == 1


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({}, "missing_required_parameter", "email"),
        ({"email": GRACE}, "missing_required_parameter", "role"),
        ({"email": "nobody", "role": "member"}, "invalid_value", "email"),
        ({"email": '"a b"@example.com', "role": "member"}, "invalid_value", "email"),
        ({"email": f"{'a' * 250}@example.com", "role": "member"}, "invalid_value", "email"),
        ({"email": "a@example.com\r\nBcc: b@example.com", "role": "member"}, "invalid_value", "email"),
        ({"email": "a\x00@example.com", "role": "member"}, "invalid_json", None),
        ({"email": 5, "role": "member"}, "invalid_value", "email"),
        ({"email": GRACE, "role": "king"}, "invalid_value", "role"),
        ({"email": GRACE, "role": ["member"]}, "invalid_value", "role"),
        ({"email": GRACE, "role": {}}, "invalid_value", "role"),
        ({"email": GRACE, "role": "member", "expires_in_days": 0}, "invalid_value", "expires_in_days"),
        ({"email": GRACE, "role": "member", "expires_in_days": 31}, "invalid_value", "expires_in_days"),
        ({"email": GRACE, "role": "member", "expires_in_days": 10**30}, "invalid_value", "expires_in_days"),
        ({"email": GRACE, "role": "member", "message": "a" * 2001}, "invalid_value", "message"),
        ({"email": GRACE, "role": "member", "message": "\x00"}, "invalid_json", None),
        ({"email": GRACE, "role": "member", "projects": "all"}, "invalid_value", "projects"),
        ({"email": GRACE, "role": "member", "projects": [{"id": "proj_1"}]}, "missing_required_parameter", "projects.0.role"),
        ({"email": GRACE, "role": "member", "projects": [{"id": "proj_1", "role": "member"}] * 2}, "invalid_value", "projects"),
        ({"email": GRACE, "role": "member", "redirect_url": "https://evil.example"}, "unknown_parameter", "redirect_url"),
        ([], "invalid_value", None),
    ],
)  # fmt: skip
def test_what_is_no_invite_is_refused(acme: Acme, body: Any, code: str, param: str | None):
    assert refusal(acme.admin.call("POST", INVITES, body)) == (400, code, param)
    assert (Invite.objects.count(), mail.outbox, events(acme)) == (0, [], [])


@pytest.mark.parametrize("project_id", ["random", "strangers", "é", "a" * 64])
def test_only_projects_one_knows_of_come_with_an_invite(acme: Acme, project_id: str):
    ids = {"random": new_id("proj"), "strangers": acme.stranger.project.public_id}
    body = {"email": GRACE, "role": "member", "projects": [{"id": ids.get(project_id, project_id), "role": "member"}]}
    answer = acme.admin.call("POST", INVITES, body)
    assert refusal(answer)[:2] == (404, "project_not_found")
    assert Invite.objects.count() == 0


def test_an_archived_project_comes_with_no_invite(acme: Acme):
    Project.objects.filter(pk=acme.project.pk).update(archived_at=timezone.now())
    body = {"email": GRACE, "role": "member", "projects": [{"id": acme.project.public_id, "role": "viewer"}]}
    assert refusal(acme.owner.call("POST", INVITES, body)) == (409, "project_archived", "projects")
    assert Invite.objects.count() == 0


def test_openais_word_for_a_viewer_is_taken(invite: Callable[..., Invited], acme: Acme):
    sent = invite(role="reader", projects=[{"id": acme.project.public_id, "role": "reader"}])
    assert (sent.document["role"], sent.document["projects"]) == (
        "viewer",
        [{"id": acme.project.public_id, "role": "viewer"}],
    )


def test_nobody_is_invited_to_own_what_goes_with_somebodys_account(acme: Acme):
    ada = sign_up("ada@example.com")
    answer = ada.call("POST", INVITES, {"email": GRACE, "role": "owner"})
    assert refusal(answer) == (409, "personal_organization", None)
    assert not Invite.objects.filter(email=GRACE).exists()


def test_an_address_has_one_pending_invite(acme: Acme, invite: Callable[..., Invited]):
    first = invite()
    again = acme.owner.call("POST", INVITES, {"email": "Grace@Example.com", "role": "viewer"})
    assert refusal(again) == (409, "already_invited", "email")
    assert again["x-should-retry"] == "false"
    assert (Invite.objects.count(), len(mail.outbox), len(events(acme))) == (1, 1, 1)
    Invite.objects.update(expires_at=timezone.now())
    second = invite()
    assert [row.state for row in Invite.objects.order_by("pk")] == ["expired", "pending"]
    assert (first.look(first.mailed)[0], second.look(second.mailed)[0]) == (404, 200)


def test_a_members_address_is_refused_to_who_may_know_of_members(acme: Acme, django_capture_on_commit_callbacks: Any):
    EmailAddress.objects.create(user=acme.member.user, email="second@acme.example", verified=True)
    for email in ("member@acme.example", "SECOND@acme.example"):
        answer = acme.admin.call("POST", INVITES, {"email": email, "role": "viewer"})
        assert refusal(answer) == (409, "already_member", "email")
    assert (Invite.objects.count(), mail.outbox) == (0, [])
    blind = acme.admin_key(acme.owner, set(Scope) - {Scope.MEMBERS_READ})
    # Whoever lacks a right hands on none that has it, and every role has this one.
    answer = blind.call("POST", INVITES, {"email": "member@acme.example", "role": "viewer"})
    assert refusal(answer) == (403, "insufficient_permissions", "role")


def test_an_address_is_mailed_so_often_and_no_more(acme: Acme, invite: Callable[..., Invited]):
    sent = invite()
    for _ in range(4):
        assert acme.admin.call("POST", f"{sent.path}/resend").status_code == 200
    before = sent.row.token_digest
    refused = acme.admin.call("POST", f"{sent.path}/resend")
    assert refusal(refused)[:2] == (429, "rate_limit_exceeded")
    assert int(refused["Retry-After"]) >= 1
    assert (sent.row.token_digest, len(events(acme))) == (before, 5)
    # Another organization's do not come on top.
    assert acme.stranger.call("POST", INVITES, {"email": GRACE, "role": "viewer"}).status_code == 429


# --- Rights ---


def with_rights(acme: Acme, person: Caller, scopes: set[Scope]) -> None:
    role = CustomRole.objects.create(
        organization=acme.organization,
        name="inviter",
        resource_type=ResourceType.ORGANIZATION,
        permissions=sorted(scopes),
    )
    OrganizationRoleAssignment.objects.create(
        organization=acme.organization, role=role, membership=acme.membership(person)
    )


@pytest.mark.parametrize(
    ("who", "role", "status"),
    [
        ("owner", "owner", 200), ("owner", "viewer", 200), ("admin", "owner", 403), ("admin", "admin", 200),
        ("admin", "member", 200), ("member", "viewer", 403), ("viewer", "viewer", 403), ("project_owner", "viewer", 403),
    ],
)  # fmt: skip
def test_nobody_invites_to_a_role_with_rights_it_lacks(acme: Acme, who: str, role: str, status: int):
    answer = getattr(acme, who).call("POST", INVITES, {"email": GRACE, "role": role})
    assert (answer.status_code, Invite.objects.count()) == (status, int(status == 200))


def test_the_right_to_invite_alone_hands_on_what_one_has(acme: Acme):
    with_rights(acme, acme.viewer, {Scope.INVITES_WRITE})
    answers = [acme.viewer.call("POST", INVITES, {"email": GRACE, "role": role}) for role in ("member", "viewer")]
    assert refusal(answers[0]) == (403, "insufficient_permissions", "role")
    assert answers[1].status_code == 200
    places = [{"id": acme.project.public_id, "role": "member"}]
    answer = acme.viewer.call("POST", INVITES, {"email": "b@example.com", "role": "viewer", "projects": places})
    assert refusal(answer) == (403, "insufficient_permissions", "projects")
    assert [row.role for row in Invite.objects.all()] == ["viewer"]


def test_a_key_invites_within_its_own_limits(acme: Acme):
    narrow = acme.admin_key(acme.owner, {Scope.INVITES_WRITE, Scope.INVITES_READ})
    assert refusal(narrow.call("POST", INVITES, {"email": GRACE, "role": "viewer"}))[0] == 403
    whole = acme.admin_key()
    answer = whole.call("POST", INVITES, {"email": GRACE, "role": "owner"})
    assert (answer.status_code, answer.json()["invited_by"]) == (200, "owner@acme.example")
    assert events(acme)[-1][:2] == ("invite.sent", whole.key.public_id)


def test_an_admin_does_not_send_an_owners_invite_again(acme: Acme, invite: Callable[..., Invited]):
    sent = invite(role="owner", by=acme.owner)
    digest = sent.row.token_digest
    assert refusal(acme.admin.call("POST", f"{sent.path}/resend")) == (403, "insufficient_permissions", "role")
    assert sent.row.token_digest == digest


@pytest.mark.parametrize("how", ["demoted", "removed", "disabled", "deleted"])
def test_an_invite_ends_with_the_inviters_right_to_send_it(
    acme: Acme, grace: Caller, invite: Callable[..., Invited], how: str
):
    sent = invite(role="admin")
    if how == "demoted":
        Membership.objects.filter(pk=acme.membership(acme.admin).pk).update(role=Role.MEMBER)
    elif how == "removed":
        acme.membership(acme.admin).delete()
    elif how == "disabled":
        User.objects.get_queryset().filter(pk=acme.admin.user.pk).update(is_active=False)
    else:
        acme.admin.user.delete()
    status, body = sent.answer(grace)
    assert (status, body["error"]["code"], roles_of(grace, acme)) == (404, "invite_not_found", [])
    assert (sent.look(sent.mailed)[0], sent.row.state) == (404, "pending")
    assert acme.owner.call("POST", f"{sent.path}/resend").status_code == 200
    assert sent.row.invited_by_id == acme.owner.user.pk


def test_an_operator_invites_to_anything(acme: Acme, grace: Caller):
    operator = User.objects.create_superuser("op@example.com", "correct-horse-9")
    sent = send_invite(
        organization=acme.organization, email=GRACE, role=Role.OWNER, inviter=operator, actor=actor_of(operator)
    )
    token = secret_in(sent.url)
    answer = grace.call("POST", f"{INVITES}/{sent.invite.public_id}/accept", {"token": token})
    assert (answer.status_code, roles_of(grace, acme)) == (200, ["owner"])


# --- Looked at ---


def test_invites_are_listed_by_status(acme: Acme, grace: Caller, invite: Callable[..., Invited]):
    names = ("pending", "overdue", "accepted", "declined", "revoked")
    sent = {name: invite(GRACE if name in ("accepted", "declined") else f"{name}@example.com") for name in names[:3]}
    assert sent["accepted"].answer(grace)[0] == 200
    acme.membership(grace).delete()
    sent["declined"] = invite()
    assert sent["declined"].answer(grace, "decline")[0] == 200
    sent["revoked"] = invite("revoked@example.com")
    assert acme.admin.call("DELETE", sent["revoked"].path).status_code == 200
    Invite.objects.filter(email="overdue@example.com").update(expires_at=timezone.now())

    def listed(**query: str) -> list[str]:
        answer = acme.admin.call("GET", f"{INVITES}?{'&'.join(f'{k}={v}' for k, v in query.items())}").json()
        assert answer["data"] == answer["invites"]
        assert {(each["status"], each["status_detail"]) for each in answer["data"]} <= {
            ("pending", "pending"), ("accepted", "accepted"), ("expired", "expired"), ("expired", "declined"),
        }  # fmt: skip
        ids = {each.document["id"]: name for name, each in sent.items()}
        return [ids[each["id"]] for each in answer["data"]]

    assert listed() == ["declined", "accepted", "overdue", "pending"]
    assert listed(order="asc", limit="2") == ["pending", "overdue"]
    assert listed(status="pending") == ["pending"]
    assert listed(status="accepted") == ["accepted"]
    assert listed(status="expired") == ["declined", "overdue"]
    expire_invites()
    assert listed(status="expired") == ["declined", "overdue"]
    assert [row.state for row in Invite.objects.order_by("pk")] == [
        "pending", "expired", "accepted", "declined", "revoked",
    ]  # fmt: skip
    assert refusal(acme.admin.call("GET", f"{INVITES}?status=open")) == (400, "invalid_value", "status")


def test_a_list_asks_no_more_with_more_rows(acme: Acme, invite: Callable[..., Invited], django_assert_num_queries: Any):
    places = [{"id": acme.project.public_id, "role": "member"}]
    key = acme.admin_key()
    invite(projects=places)
    key.call("GET", INVITES)
    with django_assert_num_queries(8):
        key.call("GET", INVITES)
    for number in range(5):
        invite(f"{number}@example.com", projects=places)
    with django_assert_num_queries(8):
        assert key.call("GET", INVITES).json()["total"] == 6


def test_those_who_manage_an_invite_see_all_of_it(acme: Acme, invite: Callable[..., Invited]):
    acme.organization.domain = "acme.example"
    acme.organization.save()
    sent = invite(message="Welcome")
    document = acme.admin.call("GET", sent.path).json()
    organization = {"name": acme.organization.name, "domain": "acme.example"}
    assert document == {**{name: sent.document[name] for name in KEYS}, "organization": organization}
    iso = acme.admin.call("GET", f"{sent.path}?timestamps=iso").json()
    assert iso["created_at"] == datetime.datetime.fromtimestamp(document["created_at"], datetime.UTC).strftime(
        "%Y-%m-%dT%H:%M:%SZ"
    )
    mirror = f"/v1/organization/{acme.organization.public_id}/invites/{sent.document['id']}"
    assert Caller(acme.admin.user, acme.admin.secret).call("GET", mirror).json() == document


def test_who_holds_the_link_sees_what_it_offers_and_no_address(acme: Acme, invite: Callable[..., Invited]):
    sent = invite(projects=[{"id": acme.project.public_id, "role": "member"}])
    for secret in (sent.mailed, sent.shown):
        assert sent.look(secret) == (
            200,
            {
                "id": sent.document["id"],
                "object": "organization.invite",
                "role": "member",
                "status": "pending",
                "expires_at": sent.document["expires_at"],
                "invited_by": "admin@acme.example",
                "organization": {"name": acme.organization.name, "domain": ""},
            },
        )


def body_without_id(answer: Any) -> Any:
    return answer.status_code, {**answer.json()["error"], "request_id": None}


def test_without_its_secret_an_invite_is_not_there(acme: Acme, invite: Callable[..., Invited]):
    sent, other = invite(), invite("other@example.com")
    unknown = body_without_id(Client().get(f"{INVITES}/{new_id('inv')}", {"token": "a" * 32}))
    assert unknown[0] == 404
    digest = sent.row.token_digest
    wrong = ["", "a" * 32, sent.mailed[:-1], sent.mailed + "a", sent.mailed.swapcase(), other.mailed, other.shown,
             digest, digest[:32], "\x00" * 32, "é" * 32, "a" * 5000]  # fmt: skip
    assert [body_without_id(Client().get(sent.path, {"token": secret})) for secret in wrong] == [unknown] * len(wrong)
    assert Client().get(sent.path).status_code == 401
    assert (
        Client().get(f"/v1/organization/{acme.organization.public_id}/invites/{sent.document['id']}").status_code == 401
    )


@pytest.mark.parametrize("method", ["GET", "DELETE", "POST"])
def test_anothers_invite_is_not_there_and_untouched(acme: Acme, invite: Callable[..., Invited], method: str):
    sent = invite()
    key = acme.stranger.with_key()
    for caller, status in ((acme.stranger, 404), (key, 403)):
        asked = [
            caller.call(method, f"{INVITES}/{public_id}{'/resend' if method == 'POST' else ''}")
            for public_id in (sent.document["id"], new_id("inv"), "inv_\x00", "é")
        ]
        assert len({str(body_without_id(answer)) for answer in asked}) == 1
        assert asked[0].status_code == status
    assert sent.row.state == "pending"
    assert sent.look(sent.mailed)[0] == 200


@pytest.mark.parametrize("who", ["member", "viewer", "project_owner", "outsider"])
def test_who_may_not_manage_invites_sees_none(acme: Acme, invite: Callable[..., Invited], who: str):
    sent = invite()
    person = getattr(acme, who)
    asked = [("GET", INVITES), ("GET", sent.path), ("DELETE", sent.path), ("POST", f"{sent.path}/resend")]
    assert {person.call(method, path).status_code for method, path in asked} == {403}
    assert sent.row.state == "pending"


# --- Sent again, revoked, over ---


def test_sent_again_the_old_link_dies(
    acme: Acme, grace: Caller, invite: Callable[..., Invited], django_capture_on_commit_callbacks: Any
):
    sent = invite(expires_in_days=3)
    Invite.objects.update(
        expires_at=timezone.now() + datetime.timedelta(minutes=1),
        sent_at=timezone.now() - datetime.timedelta(days=3, minutes=-1),
    )
    with django_capture_on_commit_callbacks(execute=True):
        again = acme.owner.call("POST", f"{sent.path}/resend")
    assert set(again.json()) == {*KEYS, "invite_url"}
    renewed = Invited(again.json(), secret_in(again.json()["invite_url"]), secret_in(str(mail.outbox[-1].body)))
    assert (renewed.document["id"], renewed.document["invited_by"]) == (sent.document["id"], "owner@acme.example")
    assert abs(renewed.document["expires_at"] - timezone.now().timestamp() - 3 * 86400) < 5
    assert [sent.look(sent.mailed)[0], sent.look(sent.shown)[0], sent.answer(grace)[0]] == [404] * 3
    assert (roles_of(grace, acme), renewed.answer(grace)[0]) == ([], 200)
    assert refusal(acme.owner.call("POST", f"{sent.path}/resend")) == (409, "already_member", "email")


def test_an_expired_invite_comes_back_to_life_unless_there_is_a_newer_one(acme: Acme, invite: Callable[..., Invited]):
    sent = invite()
    now = timezone.now()
    Invite.objects.update(expires_at=now, sent_at=now - datetime.timedelta(days=7))
    expire_invites()
    assert acme.admin.call("POST", f"{sent.path}/resend").json()["status"] == "pending"
    Invite.objects.update(expires_at=timezone.now())
    invite()
    assert refusal(acme.admin.call("POST", f"{sent.path}/resend")) == (409, "already_invited", "email")
    assert [row.state for row in Invite.objects.order_by("pk")] == ["expired", "pending"]


def test_a_revoked_invite_is_gone(acme: Acme, grace: Caller, invite: Callable[..., Invited]):
    sent = invite()
    answer = acme.admin.call("DELETE", sent.path)
    assert answer.json() == {"id": sent.document["id"], "object": "organization.invite.deleted", "deleted": True}
    assert acme.admin.call("DELETE", sent.path).status_code == 404
    assert acme.admin.call("GET", sent.path).status_code == 404
    assert (sent.look(sent.mailed)[0], sent.answer(grace)[0], roles_of(grace, acme)) == (404, 404, [])
    assert [action for action, _, _ in events(acme)] == ["invite.sent", "invite.deleted"]
    assert acme.admin.call("DELETE", invite().path, Prefer="return=minimal").status_code == 204


def test_an_accepted_invite_is_not_revoked(acme: Acme, grace: Caller, invite: Callable[..., Invited]):
    sent = invite()
    assert sent.answer(grace)[0] == 200
    assert refusal(acme.admin.call("DELETE", sent.path)) == (409, "invite_accepted", None)
    assert (sent.row.state, roles_of(grace, acme)) == ("accepted", ["member"])


def test_an_overdue_invite_is_over_before_the_task_has_run(acme: Acme, grace: Caller, invite: Callable[..., Invited]):
    sent = invite()
    Invite.objects.update(expires_at=timezone.now())
    assert [sent.look(sent.mailed)[0], sent.answer(grace)[0], sent.answer(grace, "decline")[0]] == [404] * 3
    assert acme.admin.call("GET", sent.path).json()["status"] == "expired"
    assert (sent.row.state, roles_of(grace, acme)) == ("pending", [])
    expire_invites()
    expire_invites()
    assert sent.row.state == "expired"


# --- Answered ---


@pytest.mark.parametrize("which", ["mailed", "shown"])
def test_an_invite_is_accepted_once(acme: Acme, grace: Caller, invite: Callable[..., Invited], which: str):
    sent = invite(projects=[{"id": acme.project.public_id, "role": "owner"}])
    status, document = sent.answer(grace, secret=getattr(sent, which))
    assert (status, document["status"], document["role"]) == (200, "accepted", "member")
    assert abs(document["accepted_at"] - timezone.now().timestamp()) < 5
    assert document["organization"] == {"name": acme.organization.name, "domain": ""}
    (membership,) = Membership.objects.filter(organization=acme.organization, user=grace.user)
    assert membership.role == "member"
    assert [(each.project_id, each.role) for each in ProjectMembership.objects.filter(membership=membership)] == [
        (acme.project.pk, "owner")
    ]
    assert events(acme)[1:] == [
        ("invite.accepted", grace.user.pk, {"email": GRACE, "role": "member"}),
        ("user.added", grace.user.pk, {"email": GRACE, "role": "member"}),
    ]
    assert [sent.answer(grace)[0], sent.answer(grace, "decline")[0], sent.look(sent.mailed)[0]] == [404] * 3
    assert len(events(acme)) == 3
    organization = {"OpenAI_Organization": acme.organization.public_id}
    assert grace.call("GET", "/v1/models", **organization).status_code == 200


def test_an_invite_is_declined_once(acme: Acme, grace: Caller, invite: Callable[..., Invited]):
    sent = invite()
    status, document = sent.answer(grace, "decline")
    assert (status, document["status"], document["status_detail"]) == (200, "expired", "declined")
    assert [sent.answer(grace)[0], sent.answer(grace, "decline")[0], sent.look(sent.mailed)[0]] == [404] * 3
    assert (roles_of(grace, acme), events(acme)[1:]) == (
        [],
        [("invite.deleted", grace.user.pk, {"email": GRACE, "role": "member", "state": ["pending", "declined"]})],
    )
    assert refusal(acme.admin.call("POST", f"{sent.path}/resend")) == (409, "invite_not_pending", None)
    assert acme.admin.call("DELETE", sent.path).status_code == 200


@pytest.mark.parametrize("how", ["accept", "decline"])
@pytest.mark.parametrize(
    ("who", "code"),
    [
        ("another", "email_not_verified"), ("unverified", "email_not_verified"), ("key", "wrong_key_kind"),
        ("guest", "guest_not_allowed"), ("admin", "email_not_verified"),
    ],
)  # fmt: skip
def test_an_invite_is_for_the_verified_address_it_was_sent_to(
    acme: Acme, invite: Callable[..., Invited], who: str, code: str, how: str
):
    sent = invite()
    if who == "another":
        caller = new_person("eve@example.com")
    elif who == "unverified":
        caller = new_person(is_verified=False)
    elif who == "key":
        caller = new_person().with_key()
    elif who == "guest":
        guest = User.objects.create_user(is_guest=True)
        EmailAddress.objects.create(user=guest, email=GRACE, verified=True)
        caller = Caller(guest, token_of(guest))
    else:
        caller = acme.admin
    status, body = sent.answer(caller, how)
    assert (status, body["error"]["code"]) == (403, code)
    assert len(body["error"]["message"]) > 40
    assert GRACE not in body["error"]["message"]
    assert (sent.row.state, len(events(acme))) == ("pending", 1)
    assert Membership.objects.filter(organization=acme.organization).count() == 6


def test_a_disabled_account_joins_nothing(acme: Acme, grace: Caller, invite: Callable[..., Invited]):
    sent = invite()
    User.objects.get_queryset().filter(pk=grace.user.pk).update(is_active=False)
    assert sent.answer(grace)[0] == 401
    assert (sent.row.state, roles_of(grace, acme)) == ("pending", [])


def test_a_second_verified_address_will_do(acme: Acme, invite: Callable[..., Invited]):
    person = new_person("ada@example.com")
    EmailAddress.objects.create(user=person.user, email=GRACE, verified=True)
    assert invite().answer(person)[0] == 200


def test_a_member_does_not_become_one_twice(acme: Acme, grace: Caller, invite: Callable[..., Invited]):
    sent = invite(role="admin")
    Membership.objects.create(organization=acme.organization, user=grace.user, role=Role.VIEWER)
    status, body = sent.answer(grace)
    assert (status, body["error"]["code"]) == (409, "already_member")
    assert (sent.row.state, roles_of(grace, acme), len(events(acme))) == ("pending", ["viewer"], 1)


def test_projects_that_ended_meanwhile_are_left_out(acme: Acme, grace: Caller, invite: Callable[..., Invited]):
    projects = [Project.objects.create(organization=acme.organization, name=name) for name in ("a", "b", "c")]
    sent = invite(projects=[{"id": each.public_id, "role": "member"} for each in projects])
    Project.objects.filter(pk=projects[0].pk).update(archived_at=timezone.now())
    Project.objects.filter(pk=projects[1].pk).update(deleted_at=timezone.now())
    assert sent.answer(grace)[0] == 200
    places = ProjectMembership.objects.filter(membership__user=grace.user)
    assert [place.project_id for place in places] == [projects[2].pk]


def test_nobody_joins_an_organization_that_is_gone(acme: Acme, grace: Caller, invite: Callable[..., Invited]):
    sent = invite()
    type(acme.organization).objects.filter(pk=acme.organization.pk).update(deleted_at=timezone.now())
    assert (sent.answer(grace)[0], sent.look(sent.mailed)[0], roles_of(grace, acme)) == (404, 404, [])


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({}, "missing_required_parameter", "token"),
        ({"token": None}, "invalid_value", "token"),
        ({"token": 5.5}, "invite_not_found", None),
        ({"token": []}, "invalid_value", "token"),
        ({"token": "\x00"}, "invalid_json", None),
        ({"token": "a" * 129}, "invalid_value", "token"),
        ({"token": "a", "user_id": "user_1"}, "unknown_parameter", "user_id"),
        ([], "invalid_value", None),
    ],
)
def test_what_is_no_answer_is_refused(
    acme: Acme, grace: Caller, invite: Callable[..., Invited], body: Any, code: str, param: Any
):
    sent = invite()
    for how in ("accept", "decline"):
        assert refusal(grace.call("POST", f"{sent.path}/{how}", body))[1:] == (code, param)
    assert (Client().post(f"{sent.path}/accept").status_code, sent.row.state) == (401, "pending")


def test_an_answer_needs_the_secret_and_not_only_the_id(acme: Acme, grace: Caller, invite: Callable[..., Invited]):
    sent, other = invite(), invite("other@example.com")
    unknown = grace.call("POST", f"{INVITES}/{new_id('inv')}/accept", {"token": "a" * 32})
    for secret in ("a" * 32, other.mailed, sent.row.token_digest[:32]):
        answer = grace.call("POST", f"{sent.path}/accept", {"token": secret})
        assert body_without_id(answer) == body_without_id(unknown)
    own = f"/v1/organization/{grace.organization.public_id}/invites/{sent.document['id']}/accept"
    assert body_without_id(grace.call("POST", own, {"token": sent.mailed})) == body_without_id(unknown)
    assert (sent.row.state, roles_of(grace, acme)) == ("pending", [])
