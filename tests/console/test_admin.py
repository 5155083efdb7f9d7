"""Every page of the operator's admin."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.utils import quote
from django.contrib.auth.models import Group as StaffRole
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import Invitation, User
from apps.api_keys.services import Holder, create_key
from apps.api_keys.tokens import KeyKind
from apps.audit.models import AuditEvent
from apps.audit.services import Action, Actor
from apps.audit.services import record as record_audit
from apps.catalog.models import Model, ModelAlias, Provider, ProviderKind, Route
from apps.completions.models import StoredCompletion
from apps.conversations.content import NewItem
from apps.conversations.models import Branch, ChatProject, Conversation
from apps.conversations.services import write_items
from apps.core.ids import new_id
from apps.idempotency.models import IdempotencyRecord
from apps.organizations.models import (
    CustomRole,
    Group,
    GroupMembership,
    Invite,
    Membership,
    Organization,
    OrganizationRoleAssignment,
)
from apps.projects.models import (
    Project,
    ProjectMembership,
    ProjectRoleAssignment,
    ServiceAccount,
    default_project,
)
from apps.quotas.models import RateLimit
from apps.shares.models import Share
from apps.sso.models import IdentityProvider, SSODomain
from apps.usage.models import State, UsageRecord
from apps.user_settings.models import UserSettings
from tests.audit.tampering import without_triggers
from tests.console.conftest import SIGN_IN

REGISTERED = [model._meta.label for model in admin.site._registry]
NO_ADD = {
    "usage.UsageRecord",
    "idempotency.IdempotencyRecord",
    "audit.AuditEvent",
    "usersessions.UserSession",
    "account.EmailAddress",
    "socialaccount.SocialAccount",
    "mfa.Authenticator",
    "accounts.Invitation",
    "conversations.Conversation",
    "conversations.ChatProject",
    "shares.Share",
    "completions.StoredCompletion",
    "user_settings.UserSettings",
}
ADMIN_POLICY = {"script-src 'self' 'unsafe-eval'", "style-src 'self' 'unsafe-inline'", "img-src 'self' data:"}


def fill(number: int) -> dict[str, Any]:
    """One row of everything the admin shows, in a tenant of its own. Returns the rows by model."""
    user = User.objects.create_user(f"user{number}@example.com", "pw", username=f"user-{number}")
    membership = Membership.objects.get(user=user)
    organization = membership.organization
    project = default_project(organization.pk)
    key, _ = create_key(kind=KeyKind.PROJECT, name=f"key {number}", place=project, holder=Holder(user))
    provider = Provider(name=f"provider {number}", kind=ProviderKind.VLLM, base_url="http://vllm:8000/v1")
    provider.organization = organization
    provider.credential = f"sk-provider-secret-{number:04}"
    provider.save()
    model = Model.objects.create(model_id=f"org/model-{number}", organization=organization)
    route = Route.objects.create(model=model, provider=provider, upstream_model="m")
    alias = ModelAlias.objects.create(alias=f"alias-{number}", model=model)
    record = UsageRecord.objects.create(
        request_id=f"req_{number}",
        organization=organization,
        project=project,
        user=user,
        api_key=key,
        provider=provider,
        endpoint="chat/completions",
        model=model.model_id,
        state=State.COMPLETED,
        status=200,
        prompt_tokens=7,
        completion_tokens=1200,
        accepted_at=timezone.now() - datetime.timedelta(minutes=number),
    )
    actor = Actor("user", user.pk, user.email)
    record_audit(Action.USER_ADDED, actor=actor, target_kind="user", target_id=f"target_{number}")
    event = AuditEvent.objects.get(target_id=f"target_{number}")
    invite = invited(organization, number)
    place = ProjectMembership.objects.create(
        organization=organization, project=project, membership=membership, role="member"
    )
    tenancy = (user, organization, membership, project, key, invite, place, *roles_of(place, number))
    sso = single_sign_on(organization, number)
    role = StaffRole.objects.create(name=f"staff {number}")
    once, said = done_once(organization, number), said_in(project, user)
    rows = (role, *tenancy, *said, *ways_in(user, number), *sso, provider, model, route, alias, record, once, event)
    return {row._meta.label: row for row in rows}


def done_once(organization: Organization, number: int) -> IdempotencyRecord:
    return IdempotencyRecord.objects.create(
        organization=organization,
        credential=f"key_{number}",
        route="POST /v1/chat/completions",
        key="again",
        digest="0" * 64,
        state="finished",
        status=200,
        body=b"what the model said",
        lease_until=timezone.now(),
        finished_at=timezone.now(),
    )


def said_in(project: Project, user: User) -> tuple[Any, ...]:
    """A conversation of two items in a chat project. None of their words is for the admin."""
    owned: dict[str, Any] = {"organization": project.organization, "project": project, "user": user}
    chat_project = ChatProject.objects.create(**owned, name="private-name", instruction="private-instruction")
    words = {"title": "private-title", "summary": "private-summary", "metadata": {"note": "private-note"}}
    conversation = Conversation.objects.create(**owned, chat_project=chat_project, **words)
    conversation.active_branch = Branch.objects.create(organization=project.organization, conversation=conversation)
    conversation.save()
    write_items(
        conversation, [NewItem(type="message", role="user", data=spoken(f"private-word {word}")) for word in "ab"]
    )
    message = {"role": "user", "content": "private-question"}
    stored = StoredCompletion.objects.create(
        **owned, model="m", messages=[message], metadata={"topic": "private-topic"}
    )
    share = Share(**owned, conversation=conversation, title="private-title", snapshot=[{"text": "private-word"}])
    share.draw_slug(project.organization.public_id)
    share.save()
    return conversation, chat_project, stored, share


def spoken(text: str) -> dict[str, Any]:
    return {"content": [{"type": "input_text", "text": text}]}


def invited(organization: Organization, number: int) -> Invite:
    return Invite.objects.create(
        organization=organization,
        email=f"guest{number}@example.com",
        role="member",
        token_digest=f"digest-of-{number}",
        expires_at=timezone.now() + datetime.timedelta(days=7),
    )


def roles_of(place: ProjectMembership, number: int) -> tuple[Any, ...]:
    """A group with a member, a role given to it and to the member, and a service account."""
    there, project = {"organization": place.organization}, place.project
    group = Group.objects.create(**there, name=f"group {number}")
    inside = GroupMembership.objects.create(**there, group=group, membership=place.membership)
    role = CustomRole.objects.create(**there, name=f"role {number}", resource_type="organization")
    wide = OrganizationRoleAssignment.objects.create(**there, group=group, role=role)
    narrow = ProjectRoleAssignment.objects.create(
        **there, project=project, membership=place.membership, predefined="viewer"
    )
    account = ServiceAccount.objects.create(**there, project=project, name=f"robot {number}")
    limits = RateLimit.objects.create(**there, project=project, model=f"m{number}", max_requests_per_1_day=5)
    return group, inside, role, wide, narrow, account, limits


def ways_in(user: User, number: int) -> tuple[Any, ...]:
    """One row of everything by which a user signs in."""
    session = UserSession.objects.create(user=user, ip="192.0.2.7", session_key=f"session-{number}", user_agent="curl")
    email = EmailAddress.objects.create(user=user, email=user.email or "", verified=True, primary=True)
    account = SocialAccount.objects.create(user=user, provider="google", uid=f"uid-{number}")
    factor = Authenticator.objects.create(user=user, type="totp", data={"secret": f"sealed-totp-secret-{number:04}"})
    now = timezone.now()
    invitation = Invitation.objects.create(
        email=f"newcomer{number}@example.com", token_digest=f"of-{number}", sent_at=now, expires_at=now, invited_by=user
    )
    return session, email, account, factor, invitation, chosen_by(user)


def chosen_by(user: User) -> UserSettings:
    profile = {"base_style": "Concise", "custom_instructions": "private-wish", "more_about_you": "private-fact"}
    saved = {"profile_settings": profile, "preferences": {"theme": "private-theme"}, "enable_tools": False}
    return UserSettings.objects.create(user=user, saved=saved)


def single_sign_on(organization: Organization, number: int) -> tuple[Any, ...]:
    """An identity provider with a secret, and a domain that has to use it."""
    identity = IdentityProvider(
        slug=f"sso-{number}", name="Acme", kind="oidc", issuer=f"https://id{number}.example.com"
    )
    identity.client_secret = f"sso-client-secret-{number:04}"
    identity.organization = organization
    identity.save()
    domain = f"acme{number}.example.com"
    return identity, SSODomain.objects.create(organization=organization, provider=identity, domain=domain)


def address(label: str, page: str, *args: Any) -> str:
    return reverse(f"admin:{label.lower().replace('.', '_')}_{page}", args=[quote(arg) for arg in args])


def test_there_is_a_row_to_look_at_for_every_registered_model(db):
    assert set(fill(1)) == set(REGISTERED)


@pytest.mark.parametrize("label", REGISTERED)
def test_lists_details_and_forms_open(admin_client: Client, label: str):
    row = fill(1)[label]
    addresses = [address(label, "changelist"), address(label, "change", row.pk), address(label, "history", row.pk)]
    if label not in NO_ADD:
        addresses.append(address(label, "add"))
    assert [admin_client.get(url).status_code for url in addresses] == [200] * len(addresses)


@pytest.mark.parametrize("label", REGISTERED)
def test_a_search_finds_and_misses(admin_client: Client, label: str):
    filled = fill(1)
    row = filled[label]
    wanted = {
        "accounts.User": "USER1@exam",
        "auth.Group": "staff 1",
        "accounts.Invitation": "NEWcomer1@",
        "usersessions.UserSession": "user1@",
        "account.EmailAddress": "USER1@exam",
        "socialaccount.SocialAccount": "user1@",
        "mfa.Authenticator": "user1@",
        "user_settings.UserSettings": "user1@",
        "organizations.Organization": "user1@",
        "organizations.Membership": "user1@",
        "organizations.Invite": "guest1@",
        "organizations.Group": "group 1",
        "organizations.GroupMembership": "user1@",
        "organizations.CustomRole": "role 1",
        "organizations.OrganizationRoleAssignment": filled["organizations.CustomRole"].public_id,
        "projects.ProjectRoleAssignment": "user1@",
        "projects.ServiceAccount": "robot 1",
        "quotas.RateLimit": "m1",
        "projects.Project": "Default",
        "projects.ProjectMembership": "user1@",
        "api_keys.ApiKey": "user1@example.com",
        "sso.IdentityProvider": "sso-1",
        "sso.SSODomain": "acme1",
        "catalog.Provider": "Prov",
        "catalog.Model": "org/m",
        "catalog.Route": "m",
        "catalog.ModelAlias": "alias",
        "conversations.Conversation": "user1@",
        "conversations.ChatProject": "user1@",
        "shares.Share": "user1@",
        "completions.StoredCompletion": "user1@",
        "usage.UsageRecord": "req_1",
        "idempotency.IdempotencyRecord": "key_1",
        "audit.AuditEvent": "target_1",
    }[label]
    found = [admin_client.get(address(label, "changelist"), {"q": term}) for term in (wanted, "nothing")]
    rows = [list(answer.context["cl"].result_list) for answer in found]
    assert row in rows[0]
    assert rows[1] == []


def queries_of(get: Callable[[], Any]) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert get().status_code == 200
    return len(captured)


@pytest.mark.parametrize("label", REGISTERED)
def test_a_list_asks_the_database_no_more_with_more_rows(admin_client: Client, label: str):
    url = address(label, "changelist")
    fill(1)
    admin_client.get(url)  # content types are looked up once a process
    few = queries_of(lambda: admin_client.get(url))
    for number in range(2, 8):
        fill(number)
    assert queries_of(lambda: admin_client.get(url)) <= few


def test_no_page_shows_a_providers_credential(admin_client: Client):
    row = fill(1)["catalog.Provider"]
    pages = [
        admin_client.get(url).content.decode()
        for url in (address("catalog.Provider", "changelist"), address("catalog.Provider", "change", row.pk))
    ]
    assert all("sk-provider-secret-0001" not in page for page in pages)
    assert all(row.sealed_credential not in page for page in pages)
    assert "…0001" in pages[1]


def test_no_page_shows_what_is_in_a_second_factor_or_which_session_it_is(admin_client: Client):
    rows = fill(1)
    pages = [
        admin_client.get(url).content.decode()
        for label in ("mfa.Authenticator", "usersessions.UserSession", "accounts.User")
        for url in (address(label, "changelist"), address(label, "change", rows[label].pk))
    ]
    assert all("sealed-totp-secret" not in page and "session-1" not in page for page in pages)


def test_no_page_shows_what_people_wrote_about_themselves(admin_client: Client):
    row, label = fill(1)["user_settings.UserSettings"], "user_settings.UserSettings"
    shown, one = (
        admin_client.get(url).content.decode()
        for url in (address(label, "changelist"), address(label, "change", row.pk))
    )
    files = [admin_client.get(address(label, "export", kind)).content.decode() for kind in ("csv", "json")]
    assert "private-" not in "".join([shown, one, *files])
    assert all("Concise" in file for file in files)
    assert "Concise" in shown
    assert "custom_instructions: 12 characters, more_about_you: 12 characters" in one
    assert "theme" in one


def test_a_users_page_leads_to_its_settings(admin_client: Client):
    fill(2)
    row = fill(1)["user_settings.UserSettings"]
    answer = admin_client.get(reverse("admin:accounts_user_settings", args=[row.pk]), follow=True)
    assert answer.redirect_chain == [(f"{address('user_settings.UserSettings', 'changelist')}?q={row.pk}", 302)]
    assert list(answer.context["cl"].result_list) == [row]


@pytest.mark.parametrize("label", REGISTERED)
def test_a_stranger_is_sent_to_sign_in_and_a_person_is_refused(client: Client, person: User, label: str):
    url = address(label, "changelist")
    answer = client.get(url)
    assert (answer.status_code, answer.url.partition("?")[0]) == (302, "/admin/login/")
    assert client.get(answer.url).url.startswith("/accounts/login/?next=")
    client.force_login(person, backend=SIGN_IN)
    assert client.get(client.get(url).url).status_code == 403


def test_the_dashboard_opens_empty_and_counts_the_last_day(admin_client: Client):
    assert admin_client.get("/admin/").status_code == 200
    fill(1)
    answer = admin_client.get("/admin/")
    figures = {figure["title"]: figure["value"] for figure in answer.context["figures"]}
    assert (figures["Requests, 24 h"], figures["Tokens, 24 h"], figures["Failed, 24 h"]) == (1, 1207, 0)
    assert (figures["Organizations"], figures["Active keys"]) == (2, 1)


def test_only_the_admin_has_the_looser_policy(admin_client: Client):
    admin_page, home = admin_client.get("/admin/"), admin_client.get("/")
    assert set(admin_page["Content-Security-Policy"].split("; ")) >= ADMIN_POLICY
    assert admin_page["X-Robots-Tag"] == "noindex"
    assert "unsafe" not in home["Content-Security-Policy"]
    assert "default-src 'none'" in home["Content-Security-Policy"]


def test_the_command_palette_searches(admin_client: Client):
    fill(1)
    assert b"org/model-1" in admin_client.get(reverse("admin:search"), {"s": "org/model", "extended": "1"}).content


def test_an_organization_is_made_with_its_owner_and_default_project(admin_client: Client, person: User):
    answer = admin_client.post(address("organizations.Organization", "add"), {"name": "Acme", "owner": person.pk})
    assert answer.status_code == 302
    acme = Organization.objects.get(name="Acme")
    assert [(each.user_id, each.role) for each in Membership.objects.filter(organization=acme)] == [
        (person.pk, "owner")
    ]
    assert Project.objects.get(organization=acme).is_default


@pytest.mark.parametrize(("term", "found"), [("ADA", 1), ("ada@example.com", 1), ("da@", 0), ("a\x00b", 0)])
def test_autocomplete_finds_people_by_how_their_address_begins(
    admin_client: Client, person: User, term: str, found: int
):
    place = {"app_label": "organizations", "model_name": "membership", "field_name": "user", "term": term}
    answer = admin_client.get(reverse("admin:autocomplete"), place)
    assert [each["id"] for each in answer.json()["results"]] == [person.pk] * found


def test_an_unknown_row_leads_back_to_the_first_page(admin_client: Client):
    answer = admin_client.get(address("accounts.User", "change", new_id("user")))
    assert (answer.status_code, answer.url) == (302, "/admin/")


def searches() -> list[tuple[str, str]]:
    """Every kind of term that every list takes, but those of the providers, of which there are few."""
    terms = {"": "abc", "@": "a@example.com"}
    return [
        (label, terms.get(mark, f"{mark}abc"))
        for label in REGISTERED
        if label != "catalog.Provider"
        for mark in getattr(admin.site.get_model_admin(apps.get_model(label)), "search_by", {})
    ]


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite names its plans differently")
@pytest.mark.parametrize(("label", "term"), searches())
def test_a_search_reads_no_whole_table(db: None, label: str, term: str):
    model = apps.get_model(label)
    request = RequestFactory().get("/")
    request.resolver_match = None
    found, _ = admin.site.get_model_admin(model).get_search_results(request, model._default_manager.all(), term)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")  # the tables are empty, where reading all is cheapest
    plan = found.order_by().explain()
    assert "Seq Scan" not in plan
    if " Loop" not in plan and " Join" not in plan:  # of empty tables joined, an index may be read from end to end
        assert "Index Cond" in plan


@pytest.mark.parametrize(
    ("first", "last", "found"),
    [
        (("2026-06-01", "10:00:00"), None, 2),
        (("2026-06-01", "10:00:01"), None, 1),
        (("2026-06-01", ""), ("2026-06-01", "23:59:59"), 1),
        (("2026-06-02", ""), ("2026-06-02", "11:00:00"), 1),
        (("soon", "10:00:00"), ("2026-06-01", "late"), 2),
        (("2026-06-01", "10:00:00+05:00"), ("0000-00-00", "\x00"), 2),
        (None, ("2026-05-31", "23:59:59"), 0),
    ],
)
@pytest.mark.parametrize(("label", "field"), [("usage.UsageRecord", "accepted_at"), ("audit.AuditEvent", "created_at")])
def test_moments_bound_what_is_listed(admin_client: Client, label: str, field: str, first, last, found):
    rows = [fill(number)[label] for number in (1, 2)]
    model = type(rows[0])
    with without_triggers():
        AuditEvent.objects.exclude(pk__in=[row.pk for row in rows]).delete()
        for day, row in enumerate(rows, 1):
            moment = datetime.datetime(2026, 6, day, 10, tzinfo=datetime.UTC)
            model._default_manager.filter(pk=row.pk).update(**{field: moment})
    query = {
        f"{field}_{end}_{part}": text
        for end, moment in (("from", first), ("to", last))
        if moment is not None
        for part, text in enumerate(moment)
    }
    answer = admin_client.get(address(label, "changelist"), query)
    assert len(answer.context["cl"].result_list) == found


def test_what_was_answered_under_a_key_is_not_shown(admin_client: Client):
    record = fill(1)["idempotency.IdempotencyRecord"]
    shown = admin_client.get(address("idempotency.IdempotencyRecord", "change", record.pk)).content
    assert b"POST /v1/chat/completions" in shown
    assert b"what the model said" not in shown
    listed = admin_client.get(address("idempotency.IdempotencyRecord", "changelist")).content
    assert b"what the model said" not in listed
    files = [f"{address('idempotency.IdempotencyRecord', 'changelist')}export/{kind}/" for kind in ("csv", "json")]
    assert all(b"what the model said" not in admin_client.get(file).content for file in files)
