"""The pages on which somebody answers an invite."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.core.cache import cache
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.sessions import actor_of
from apps.audit.models import AuditEvent
from apps.core.ids import new_id
from apps.organizations.models import Invite, Membership, Organization
from apps.organizations.roles import ProjectRole, Role
from apps.projects.invites import Place, revoke_invite, send_invite
from apps.projects.models import Project, ProjectMembership
from apps.projects.services import create_organization
from apps.sso.models import IdentityProvider, ProviderKind, SSODomain
from tests.mailbox import link_in

GRACE, PASSWORD = "grace@example.com", "analytical-engine-1"
PAGE = "/accounts/invite/"
NOT_GOOD = "The invitation is not good"


@pytest.fixture(autouse=True)
def _fresh_limits() -> None:
    cache.clear()


@pytest.fixture
def owner(db: None) -> User:
    return User.objects.create_user("owner@acme.example")


@pytest.fixture
def acme(owner: User) -> Organization:
    organization = create_organization(name="Acme <b>Corp</b>", owner=owner)
    organization.domain = "acme.example"
    organization.save()
    return organization


class Links:
    """Both links to one invite."""

    def __init__(self, mailed: str, shown: str) -> None:
        self.mailed, self.shown = mailed, shown


@pytest.fixture
def invite(acme: Organization, owner: User, django_capture_on_commit_callbacks: Any) -> Callable[..., Links]:
    def invited(email: str = GRACE, **fields: Any) -> Links:
        with django_capture_on_commit_callbacks(execute=True):
            sent = send_invite(
                organization=acme, email=email, role=Role.ADMIN, inviter=owner, actor=actor_of(owner), **fields
            )
        mailed = link_in(str(mail.outbox[-1].body))
        return Links(mailed.removeprefix("http://localhost:8000"), sent.url.removeprefix("http://localhost:8000"))

    return invited


def new_person(email: str = GRACE, *, is_verified: bool = True) -> User:
    user = User.objects.create_user(email if is_verified else None, PASSWORD)
    EmailAddress.objects.create(user=user, email=email, verified=is_verified, primary=True)
    return user


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user, backend="apps.accounts.backends.ProvenAddressBackend")
    return client


def follow(client: Client, link: str) -> HttpResponse:
    """Follow a link, which leads to the page without the secret in its address."""
    answer = client.get(link)
    assert (answer.status_code, answer["Location"]) == (302, PAGE)
    return client.get(PAGE)


def is_not_good(answer: HttpResponse) -> bool:
    return (answer.status_code, NOT_GOOD in answer.text) == (404, True)


def roles(user: User, organization: Organization) -> list[str]:
    return [each.role for each in Membership.objects.filter(organization=organization, user=user)]


def buttons(answer: HttpResponse) -> list[str]:
    main = answer.text.partition("<main>")[2]
    return re.findall(r'<button[^>]*>([^<]+)</button>|<a class="button[^>]*>([^<]+)</a>', main) and [
        one or other
        for one, other in re.findall(r'<button[^>]*>([^<]+)</button>|<a class="button[^>]*>([^<]+)</a>', main)
    ]


@pytest.mark.parametrize("which", ["mailed", "shown"])
def test_somebody_with_the_address_accepts(acme: Organization, invite: Callable[..., Links], which: str):
    apollo = Project.objects.create(organization=acme, name="Apollo")
    links = invite(message="Hello\n<b>there</b>", places=[Place(apollo, ProjectRole.VIEWER)])
    grace = new_person()
    client = signed_in(grace)
    page = follow(client, getattr(links, which))
    assert (page.status_code, buttons(page)) == (200, ["Accept", "Decline"])
    for fact in ("Acme &lt;b&gt;Corp&lt;/b&gt; (acme.example)", "owner@acme.example", "<dd>admin</dd>", "Apollo (viewer)",
                 "Hello<br>&lt;b&gt;there&lt;/b&gt;"):  # fmt: skip
        assert fact in page.text
    assert page["Cache-Control"].count("no-store") == 1
    answer = client.post(f"{PAGE}accept/")
    where = f"{PAGE}joined/{acme.public_id}/"
    assert (answer.status_code, answer["Location"], roles(grace, acme)) == (302, where, ["admin"])
    assert ProjectMembership.objects.get(project=apollo).role == "viewer"
    told = client.get(where)
    assert ("You are in Acme &lt;b&gt;Corp&lt;/b&gt;" in told.text, acme.public_id in told.text) == (True, True)
    # Pressing twice leads to the same place; the link is used.
    assert client.post(f"{PAGE}accept/")["Location"] == where
    assert [is_not_good(client.get(path)) for path in (PAGE, links.mailed, links.shown)] == [True] * 3
    assert is_not_good(client.post(f"{PAGE}decline/"))
    assert AuditEvent.objects.filter(action="user.added", organization=acme.public_id).count() == 1


def test_somebody_declines(acme: Organization, invite: Callable[..., Links]):
    links, grace = invite(), new_person()
    client = signed_in(grace)
    follow(client, links.mailed)
    assert client.post(f"{PAGE}decline/")["Location"] == "/accounts/"
    assert "You declined the invitation to Acme &lt;b&gt;Corp&lt;/b&gt;." in client.get("/accounts/").text
    assert (Invite.objects.get().state, roles(grace, acme)) == ("declined", [])
    assert is_not_good(client.post(f"{PAGE}accept/"))
    assert is_not_good(client.get(links.mailed))


def test_forms_need_their_token_and_somebody_signed_in(invite: Callable[..., Links]):
    links = invite()
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(new_person(), backend="apps.accounts.backends.ProvenAddressBackend")
    browser.get(links.mailed)
    stranger = Client()
    stranger.get(links.mailed)
    for what in ("accept", "decline", "sign-out"):
        assert browser.post(f"{PAGE}{what}/").status_code == 403
        assert browser.get(f"{PAGE}{what}/").status_code == 405
        assert stranger.post(f"{PAGE}{what}/")["Location"].startswith("/accounts/login/")
    assert Invite.objects.get().state == "pending"


def test_somebody_else_is_told_and_can_make_way(acme: Organization, invite: Callable[..., Links]):
    links, eve = invite(), new_person("eve@example.com")
    client = signed_in(eve)
    page = follow(client, links.mailed)
    assert (buttons(page), GRACE in page.text, "signed in as <strong>eve@example.com" in page.text) == (
        ["Sign out and go on"],
        True,
        True,
    )
    refused = client.post(f"{PAGE}accept/")
    assert (refused.status_code, "for another e-mail address" in refused.text) == (403, True)
    assert client.post(f"{PAGE}decline/").status_code == 403
    assert client.post(f"{PAGE}sign-out/")["Location"] == PAGE
    assert client.get("/accounts/").status_code == 302
    assert buttons(client.get(PAGE)) == ["Create an account"]
    assert (Invite.objects.get().state, roles(eve, acme)) == ("pending", [])


def test_an_address_that_is_not_confirmed_has_to_be_first(acme: Organization, invite: Callable[..., Links]):
    links, ada = invite(), new_person("ada@example.com")
    EmailAddress.objects.create(user=ada, email=GRACE, verified=False)
    client = signed_in(ada)
    assert buttons(follow(client, links.mailed)) == ["Confirm the address"]
    assert client.post(f"{PAGE}accept/").status_code == 403
    EmailAddress.objects.filter(email=GRACE).update(verified=True)
    assert client.post(f"{PAGE}accept/").status_code == 302
    assert roles(ada, acme) == ["admin"]


def sign_up(client: Client) -> HttpResponse:
    form = {"email": "somebody.else@example.com", "password1": PASSWORD, "next": PAGE}
    return client.post("/accounts/signup/", form)


@pytest.mark.parametrize("mode", ["open", "invitation"])
def test_following_the_mailed_link_proves_the_address(
    acme: Organization, settings: Any, invite: Callable[..., Links], mode: str
):
    settings.SIGNUP = mode
    links, client = invite(), Client()
    page = follow(client, links.mailed)
    assert (buttons(page), GRACE in page.text) == (["Create an account"], True)
    assert 'href="/accounts/signup/?next=/accounts/invite/"' in page.text
    sent = len(mail.outbox)
    assert sign_up(client)["Location"] == PAGE
    grace = User.objects.get(email=GRACE)
    assert EmailAddress.objects.get().verified
    assert len(mail.outbox) == sent
    assert (roles(grace, acme), buttons(client.get(PAGE))) == ([], ["Accept", "Decline"])
    assert client.post(f"{PAGE}accept/").status_code == 302
    assert roles(grace, acme) == ["admin"]
    assert is_not_good(Client().get(links.mailed))


def test_what_the_inviter_is_shown_proves_no_address(
    acme: Organization, settings: Any, invite: Callable[..., Links], django_capture_on_commit_callbacks: Any
):
    settings.SIGNUP = "invitation"
    links, client = invite(), Client()
    assert buttons(follow(client, links.shown)) == ["Create an account", "Sign in"]
    with django_capture_on_commit_callbacks(execute=True):
        assert sign_up(client)["Location"] == "/accounts/confirm-email/"
    address = EmailAddress.objects.get()
    assert (address.email, address.verified, address.user.email) == (GRACE, False, None)
    assert client.get("/accounts/").status_code == 302
    # The mail that proves it goes to the address, not to who invited it.
    assert mail.outbox[-1].to == [GRACE]
    confirm = link_in(str(mail.outbox[-1].body)).removeprefix("http://localhost:8000")
    assert client.post(confirm)["Location"] == PAGE
    assert buttons(client.get(PAGE)) == ["Accept", "Decline"]
    assert client.post(f"{PAGE}accept/").status_code == 302
    assert roles(User.objects.get(email=GRACE), acme) == ["admin"]


def test_what_the_inviter_is_shown_does_not_tell_who_has_an_account(invite: Callable[..., Links]):
    links = invite()
    pages = [buttons(follow(Client(), links.shown))]
    new_person()
    pages.append(buttons(follow(Client(), links.shown)))
    assert pages == [["Create an account", "Sign in"]] * 2
    assert buttons(follow(Client(), links.mailed)) == ["Sign in"]


def test_who_has_an_account_signs_in_and_comes_back(acme: Organization, invite: Callable[..., Links]):
    links, grace, client = invite(), new_person(), Client()
    page = follow(client, links.mailed)
    assert 'href="/accounts/login/?next=/accounts/invite/"' in page.text
    answer = client.post("/accounts/login/", {"login": GRACE, "password": PASSWORD, "next": PAGE})
    assert (answer["Location"], buttons(client.get(PAGE))) == (PAGE, ["Accept", "Decline"])
    assert roles(grace, acme) == []


def test_where_nobody_signs_up_the_page_says_so(settings: Any, invite: Callable[..., Links]):
    links, client = invite(), Client()
    settings.SIGNUP = "closed"
    page = follow(client, links.mailed)
    assert (page.status_code, "Sign-up is closed" in page.text) == (403, True)
    sign_up(client)
    assert not User.objects.get_queryset().filter(email=GRACE).exists()
    new_person()
    assert buttons(follow(Client(), links.mailed)) == ["Sign in"]


def test_an_invite_makes_one_account_and_only_with_its_address(settings: Any, invite: Callable[..., Links]):
    settings.SIGNUP = "invitation"
    links, client = invite(), Client()
    follow(client, links.mailed)
    sign_up(client)
    client.post("/accounts/logout/")
    assert "made by invitation" in sign_up(client).text
    # Its link still answers the invite, and makes no second account.
    assert buttons(follow(client, links.mailed)) == ["Sign in"]
    sign_up(client)
    assert [user.email for user in User.objects.get_queryset().exclude(email="owner@acme.example")] == [GRACE]


def test_who_has_to_use_a_provider_still_has_to(acme: Organization, settings: Any, invite: Callable[..., Links]):
    settings.SIGNUP = "invitation"
    provider = IdentityProvider(slug="corp", name="Corp", kind=ProviderKind.OIDC, issuer="https://id.example.com")
    provider.organization = acme
    provider.save()
    SSODomain.objects.create(organization=acme, provider=provider, domain="example.com")
    links, client = invite(), Client()
    follow(client, links.mailed)
    assert "People of example.com sign in with Corp." in sign_up(client).text
    # Which leads back to the invite.
    for page in ("signup", "login"):
        assert "next=%2Faccounts%2Finvite%2F" in client.get(f"/accounts/{page}/", {"next": PAGE}).text
    assert not User.objects.get_queryset().filter(email=GRACE).exists()


@pytest.mark.parametrize("how", ["forged", "expired", "revoked", "deleted", "digest", "empty", "none"])
def test_what_is_not_good_is_one_page(acme: Organization, owner: User, invite: Callable[..., Links], how: str):
    link = invite().mailed
    (secret,) = parse_qs(urlsplit(link).query)["token"]
    if how == "expired":
        Invite.objects.update(expires_at=timezone.now())
    elif how == "revoked":
        revoke_invite(invite=Invite.objects.get(), actor=actor_of(owner))
    elif how == "deleted":
        Organization.objects.filter(pk=acme.pk).update(deleted_at=timezone.now())
    tried = {"forged": secret.swapcase(), "digest": Invite.objects.get().token_digest, "empty": ""}.get(how, secret)
    client = Client()
    answer = client.get(PAGE, {"token": tried} if how != "none" else {}, follow=True)
    assert is_not_good(answer)
    assert [word for word in ("Acme", GRACE, "owner@") if word in answer.text] == []


@pytest.mark.parametrize("how", ["expired", "revoked", "sent again"])
def test_what_ended_after_it_was_followed_is_not_good(
    owner: User, acme: Organization, settings: Any, invite: Any, how: str
):
    settings.SIGNUP = "invitation"
    links, client = invite(), Client()
    follow(client, links.mailed)
    row = Invite.objects.get()
    if how == "expired":
        Invite.objects.update(expires_at=timezone.now())
    elif how == "revoked":
        revoke_invite(invite=row, actor=actor_of(owner))
    else:
        Invite.objects.update(token_digest="another")
    assert is_not_good(client.get(PAGE))
    assert "made by invitation" in sign_up(client).text
    grace = new_person()
    member = signed_in(grace)
    session = member.session
    session["invitation"] = {"of": "organizations.Invite", "digest": row.token_digest, "is_mailed": True}
    session.save()
    assert is_not_good(member.post(f"{PAGE}accept/"))
    assert roles(grace, acme) == []


@pytest.mark.parametrize("odd", ["\x00", "é" * 32, "a" * 32, "a" * 5000, "{{ user }}", "<script>alert(1)</script>"])
def test_no_token_is_a_servers_error(invite: Callable[..., Links], odd: str):
    invite()
    for client in (Client(raise_request_exception=False), signed_in(new_person("eve@example.com"))):
        assert is_not_good(client.get(PAGE, {"token": odd}))


def test_where_one_is_not_a_member_there_is_nothing_to_read(acme: Organization):
    client = signed_in(new_person())
    pages = [client.get(f"{PAGE}joined/{place}/") for place in (acme.public_id, new_id("org"), "x")]
    assert [is_not_good(page) for page in pages] == [True] * 3


@pytest.mark.parametrize(
    ("role", "place", "leads_to", "manages"),
    [
        (Role.MEMBER, None, "Default project", False),
        (Role.MEMBER, ProjectRole.MEMBER, "Apollo", False),
        (Role.VIEWER, ProjectRole.MEMBER, "Apollo", False),
        (Role.MEMBER, ProjectRole.VIEWER, "Default project", False),
        (Role.VIEWER, ProjectRole.VIEWER, None, False),
        (Role.ADMIN, None, "Default project", True),
    ],
)
def test_who_joined_is_led_to_where_it_can_make_a_key(
    acme: Organization, role: Role, place: ProjectRole | None, leads_to: str | None, manages: bool
):
    grace = new_person()
    membership = Membership.objects.create(user=grace, organization=acme, role=role)
    apollo = Project.objects.create(organization=acme, name="Apollo")
    if place is not None:
        ProjectMembership.objects.create(organization=acme, project=apollo, membership=membership, role=place)
    text = signed_in(grace).get(f"{PAGE}joined/{acme.public_id}/").text
    led = re.findall(r'href="/accounts/keys/new/(proj_\w+)/"', text)
    projects = Project.objects.filter(organization=acme, name=leads_to).values_list("public_id", flat=True)
    assert led == list(projects)
    assert ("/organization/choose/" in text) is manages
    assert ("make no keys" in text) is (leads_to is None)
