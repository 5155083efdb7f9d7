"""The pages on which people make, rotate and revoke keys of their own."""

from __future__ import annotations

import datetime
import re
from typing import Any

import pytest
from django.core.cache import cache
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.sessions import actor_of
from apps.api_keys.models import ApiKey
from apps.api_keys.pages import PAGE_SIZE
from apps.api_keys.services import revoke_key
from apps.api_keys.tokens import KeyKind
from apps.audit.models import AuditEvent
from apps.catalog.models import Model, Provider, Route
from apps.core.ids import new_id
from apps.organizations.models import CustomRole, Membership, Organization, OrganizationRoleAssignment
from apps.organizations.roles import Role
from apps.projects.models import Project, ProjectMembership, default_project
from apps.projects.rights import projects_of
from apps.projects.services import create_organization
from tests.api_keys.conftest import Caller, join
from tests.console.conftest import SIGN_IN, prove

KEYS, NEW = "/accounts/keys/", "/accounts/keys/new/"
FORM = {"name": "laptop", "scopes": ["inference", "models.read"], "life": "30"}
NEVER = new_id("key")


def browser(user: User, *, seconds_ago: float = 0.0) -> Client:
    """One in which the password was given so long ago."""
    client = Client()
    client.force_login(user, backend=SIGN_IN)
    prove(client, user, seconds_ago=seconds_ago)
    return client


@pytest.fixture(autouse=True)
def _fresh_limits() -> None:
    cache.clear()


@pytest.fixture
def page(ada: Caller) -> Client:
    ada.user.set_password("analytical-engine-1")
    ada.user.save()
    return browser(ada.user)


@pytest.fixture
def acme(eve: Caller) -> Organization:
    """An organization of Eve's."""
    return create_organization(name="Acme", owner=eve.user)


def default_of(organization: Organization) -> Project:
    project = default_project(organization.pk)
    assert isinstance(project, Project)
    return project


def rotation(key: ApiKey) -> str:
    return f"{KEYS}{key.public_id}/rotate/"


def revocation(key: ApiKey) -> str:
    return f"{KEYS}{key.public_id}/revoke/"


def rows() -> list[dict[str, Any]]:
    return list(ApiKey.objects.order_by("pk").values())


def names(answer: HttpResponse) -> list[str]:
    return [key.name for key in answer.context["page"]]  # type: ignore[attr-defined]


def refusal(answer: HttpResponse) -> tuple[int, str]:
    found = re.search(r"<h1>Nothing was changed</h1>\s*<p>(.*?)</p>", answer.text)
    return answer.status_code, found[1] if found else ""


# --- Making ---


def test_somebody_makes_a_key_and_calls_with_it(ada: Caller, page: Client):
    assert "You have none yet." in page.get(KEYS).text
    assert page.get(NEW)["Location"] == f"{NEW}{ada.project.public_id}/"  # there is one place only
    before = timezone.now()
    shown = page.post(f"{NEW}{ada.project.public_id}/", FORM)
    key = ApiKey.objects.get()
    token = shown.context["token"]
    assert (shown.status_code, shown["Cache-Control"].count("no-store")) == (200, 1)
    assert (key.kind, key.name, key.project, key.user, key.scopes) == (
        "user",
        "laptop",
        ada.project,
        ada.user,
        ["inference", "models.read"],
    )
    assert key.expires_at is not None
    assert before <= key.expires_at - datetime.timedelta(days=30) <= timezone.now()
    assert Caller(ada.user, token).call("GET", "/v1/auth/me").json()["scopes"] == ["inference", "models.read"]
    event = AuditEvent.objects.get(action="api_key.created")
    assert (event.actor_kind, event.actor_id, event.target_id) == ("user", ada.user.pk, key.public_id)
    # Once, and nowhere else.
    assert shown.text.count(token) == 2
    listed = page.get(KEYS)
    assert (names(listed), token in listed.text, key.redacted_value in listed.text) == (["laptop"], False, True)
    assert token not in str(page.session.items())


def test_a_key_without_an_end_has_none(ada: Caller, page: Client):
    page.post(f"{NEW}{ada.project.public_id}/", {**FORM, "life": ""})
    assert ApiKey.objects.get().expires_at is None


def test_the_form_offers_the_rights_one_has_and_calling_first(ada: Caller, page: Client):
    form = page.get(f"{NEW}{ada.project.public_id}/").context["form"]
    assert [scope for scope, _ in form.fields["scopes"].choices] == [
        "inference",
        "models.read",
        "api_keys.read",
        "api_keys.write",
    ]
    assert form.fields["scopes"].initial == ["inference", "models.read"]


@pytest.mark.parametrize(
    ("wrong", "field", "words"),
    [
        ({"name": ""}, "name", "This field is required."),
        ({"name": "x" * 129}, "name", "Ensure this value has at most 128 characters (it has 129)."),
        ({"name": "a\x00b"}, "name", "Null characters are not allowed."),
        ({"scopes": []}, "scopes", "Choose at least one."),
        ({"scopes": ["inference", "members.write"]}, "scopes", "You have no such right here."),
        (
            {"life": "36500"},
            "life",
            "Select a valid choice. 36500 is not one of the available choices.",
        ),
    ],
)
def test_a_form_that_is_wrong_says_so_and_makes_nothing(
    ada: Caller, page: Client, wrong: dict[str, Any], field: str, words: str
):
    answer = page.post(f"{NEW}{ada.project.public_id}/", {**FORM, **wrong})
    assert (answer.status_code, answer.context["form"].errors) == (200, {field: [words]})
    assert ApiKey.objects.count() == 0


def test_one_key_too_many_is_refused(ada: Caller, page: Client, settings: Any):
    settings.MAX_KEYS_PER_USER = 1
    ada.with_key()
    answer = page.post(f"{NEW}{ada.project.public_id}/", FORM)
    assert answer.context["form"].non_field_errors() == [
        "A user has at most 1 API keys over all organizations. Delete one first."
    ]
    assert ApiKey.objects.count() == 1


def test_a_member_chooses_between_its_places(ada: Caller, page: Client, acme: Organization):
    apollo = Project.objects.create(organization=acme, name="Apollo")
    Project.objects.create(organization=acme, name="Zeus")
    gone = Project.objects.create(organization=acme, name="Gone", deleted_at=timezone.now())
    archived = Project.objects.create(organization=acme, name="Archived", archived_at=timezone.now())
    member = join(ada.user, acme)
    for project in (apollo, gone, archived):
        ProjectMembership.objects.create(organization=acme, project=project, membership=member, role="member")
    offered = page.get(NEW).context["page"]
    assert [project.name for project in offered] == ["Default project", "Default project", "Apollo"]
    assert [project.organization_id for project in offered] == [ada.organization.pk, acme.pk, acme.pk]
    page.post(f"{NEW}{apollo.public_id}/", FORM)
    assert (ApiKey.objects.get().organization, ApiKey.objects.get().project) == (acme, apollo)


def test_places_are_those_a_person_has_rights_in(ada: Caller, acme: Organization):
    projects = [Project.objects.create(organization=acme, name=name) for name in ("Apollo", "Zeus")]
    own, default = ada.project, default_of(acme)
    assert set(projects_of(ada.user)) == {own}
    member = join(ada.user, acme)
    assert set(projects_of(ada.user)) == {own, default}
    role = CustomRole.objects.create(
        organization=acme, name="Reader", resource_type="organization", permissions=["projects.read"]
    )
    OrganizationRoleAssignment.objects.create(organization=acme, role=role, membership=member)
    assert set(projects_of(ada.user)) == {own, default, *projects}
    CustomRole.objects.filter(pk=role.pk).update(permissions=["usage.read"])
    assert set(projects_of(ada.user)) == {own, default}
    Membership.objects.filter(pk=member.pk).update(role=Role.ADMIN)
    assert set(projects_of(ada.user)) == {own, default, *projects}
    Organization.objects.filter(pk=acme.pk).update(deleted_at=timezone.now())
    assert set(projects_of(ada.user)) == {own}


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_project_one_has_no_place_in_is_not_found(ada: Caller, page: Client, acme: Organization, method: str):
    hidden = Project.objects.create(organization=acme, name="Hidden")
    join(ada.user, acme)
    answers = [
        getattr(page, method)(f"{NEW}{project_id}/", FORM) for project_id in (hidden.public_id, new_id("proj"), "a%00b")
    ]
    assert [answer.status_code for answer in answers] == [404, 404, 404]
    assert answers[0].json()["error"]["code"] == answers[1].json()["error"]["code"] == "unknown_url"
    assert ApiKey.objects.count() == 0


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_viewer_makes_no_key(ada: Caller, page: Client, acme: Organization, method: str):
    join(ada.user, acme, Role.VIEWER)
    answer = getattr(page, method)(f"{NEW}{default_of(acme).public_id}/", FORM)
    words = "Your role in Default project does not let you make keys. Ask somebody who manages it."
    assert refusal(answer) == (403, words)
    assert ApiKey.objects.count() == 0


def test_no_key_is_made_in_an_archived_project(ada: Caller, page: Client):
    project = Project.objects.create(organization=ada.organization, name="Old", archived_at=timezone.now())
    answer = page.post(f"{NEW}{project.public_id}/", FORM)
    assert refusal(answer) == (403, "Old is archived, so its keys are left as they are.")
    assert ApiKey.objects.count() == 0


def test_an_account_whose_address_is_not_confirmed_makes_no_key(guest: Caller):
    answer = browser(guest.user).post(f"{NEW}{guest.project.public_id}/", FORM)
    assert refusal(answer) == (403, "Confirm your e-mail address first: until then you make no keys.")
    assert ApiKey.objects.count() == 0


# --- Looking ---


def test_the_list_has_every_key_one_holds_and_nobody_elses(ada: Caller, eve: Caller, page: Client, acme: Organization):
    join(ada.user, acme, Role.ADMIN)
    for kind in (KeyKind.USER, KeyKind.PROJECT, KeyKind.ADMIN, KeyKind.ORGANIZATION):
        ada.with_key(kind=kind, name=f"my {kind}", project=default_of(acme))
        eve.with_key(kind=kind, name=f"her {kind}", project=default_of(acme))
    revoked = ada.with_key(name="revoked")
    assert revoked.key is not None
    revoke_key(key=revoked.key, actor=actor_of(ada.user))
    expired = ada.with_key(name="expired")
    ApiKey.objects.filter(pk=getattr(expired.key, "pk", None)).update(expires_at=timezone.now())
    ada.with_key(kind=KeyKind.EPHEMERAL, name="ephemeral")
    ada.with_key(kind=KeyKind.SERVICE_ACCOUNT, name="bot")
    listed = page.get(KEYS)
    assert names(listed) == ["expired", "my organization", "my admin", "my project", "my user"]
    assert listed.text.count('<span class="badge">Expired</span>') == 1
    assert listed.text.count(">Rotate</a>") == 4


def test_keys_of_places_that_are_gone_are_not_listed(ada: Caller, page: Client, acme: Organization):
    join(ada.user, acme)
    ada.with_key(name="there", project=default_of(acme))
    project = Project.objects.create(organization=ada.organization, name="Gone")
    ada.with_key(name="here", project=project)
    assert names(page.get(KEYS)) == ["here", "there"]
    Project.objects.filter(pk=project.pk).update(deleted_at=timezone.now())
    Organization.objects.filter(pk=acme.pk).update(deleted_at=timezone.now())
    assert names(page.get(KEYS)) == []


def test_a_page_of_keys_asks_a_fixed_number_of_queries(
    ada: Caller, page: Client, settings: Any, django_assert_num_queries: Any
):
    settings.MAX_KEYS_PER_USER = 100
    for number in range(PAGE_SIZE + 1):
        ada.with_key(name=f"key {number}")
    with django_assert_num_queries(4):  # session, user, count, page
        first = page.get(KEYS)
    assert (len(names(first)), names(page.get(KEYS, {"page": "2"}))) == (PAGE_SIZE, ["key 0"])
    assert len(names(page.get(KEYS, {"page": "x"}))) == PAGE_SIZE
    for number in range(PAGE_SIZE):
        Project.objects.create(organization=ada.organization, name=f"project {number}")
    with django_assert_num_queries(5):  # session, user, roles given, count, page
        assert len(page.get(NEW).context["page"]) == PAGE_SIZE


# --- Rotating ---


def test_rotating_shows_another_secret_and_the_one_before_works_on(ada: Caller, page: Client):
    before = ada.with_key()
    assert before.key is not None
    assert "gets another secret" in page.get(rotation(before.key)).text
    shown = page.post(rotation(before.key), {"overlap": "3600"})
    after = Caller(ada.user, shown.context["token"])
    assert [caller.call("GET", "/v1/auth/me").status_code for caller in (before, after)] == [200, 200]
    before.key.refresh_from_db()
    assert before.key.previous_expires_at is not None
    assert AuditEvent.objects.get(action="api_key.rotated").details["overlap_seconds"] == 3600
    # A third secret ends the first.
    page.post(rotation(before.key), {"overlap": "0"})
    assert [caller.call("GET", "/v1/auth/me").status_code for caller in (before, after)] == [401, 401]


@pytest.mark.parametrize("kind", [KeyKind.ADMIN, KeyKind.ORGANIZATION])
def test_a_key_of_an_organization_takes_the_right_to_it(ada: Caller, page: Client, acme: Organization, kind: KeyKind):
    member = join(ada.user, acme, Role.ADMIN)
    key = ada.with_key(kind=kind, project=default_of(acme)).key
    assert key is not None
    Membership.objects.filter(pk=member.pk).update(role=Role.MEMBER)
    before = rows()
    answer = page.post(rotation(key), {"overlap": "0"})
    assert refusal(answer) == (403, "Your role in Acme does not let you make keys. Ask somebody who manages it.")
    assert rows() == before
    Membership.objects.filter(pk=member.pk).update(role=Role.ADMIN)
    shown = page.post(rotation(key), {"overlap": "0"})
    assert (shown.status_code, shown.context["can_call"]) == (200, kind is KeyKind.ORGANIZATION)


def test_a_key_with_more_rights_than_one_has_by_now_is_not_rotated(ada: Caller, page: Client, acme: Organization):
    member = join(ada.user, acme, Role.OWNER)
    key = ada.with_key(kind=KeyKind.ADMIN, project=default_of(acme)).key
    assert key is not None
    Membership.objects.filter(pk=member.pk).update(role=Role.ADMIN)
    before = rows()
    answer = page.post(rotation(key), {"overlap": "0"})
    assert answer.context["form"].non_field_errors() == [
        "A key cannot give rights it lacks, or its creator lacks: organization.delete."
    ]
    assert rows() == before


def test_an_overlap_that_is_not_offered_changes_nothing(ada: Caller, page: Client):
    key = ada.with_key().key
    assert key is not None
    before = rows()
    assert page.post(rotation(key), {"overlap": "99999999"}).status_code == 200
    assert rows() == before


# --- Revoking ---


def test_revoking_asks_and_ends_the_key(ada: Caller, page: Client):
    caller = ada.with_key(name="old laptop")
    assert caller.key is not None
    before = rows()
    assert "Revoke old laptop?" in page.get(revocation(caller.key)).text
    assert rows() == before
    answer = page.post(revocation(caller.key), follow=True)
    assert answer.redirect_chain == [(KEYS, 302)]
    assert "old laptop stops working everywhere within two seconds." in answer.text
    assert caller.call("GET", "/v1/auth/me").status_code == 401
    assert AuditEvent.objects.get(action="api_key.deleted").actor_id == ada.user.pk
    assert page.post(revocation(caller.key)).status_code == 404


def test_a_leaked_key_is_ended_by_who_may_make_none_any_more(ada: Caller, page: Client, acme: Organization):
    member = join(ada.user, acme)
    project = Project.objects.create(organization=acme, name="Old")
    ProjectMembership.objects.create(organization=acme, project=project, membership=member, role="member")
    key = ada.with_key(project=project).key
    assert key is not None
    Project.objects.filter(pk=project.pk).update(archived_at=timezone.now())
    Membership.objects.filter(pk=member.pk).update(role=Role.VIEWER)
    assert page.post(rotation(key), {"overlap": "0"}).status_code == 403
    assert page.post(revocation(key)).status_code == 302
    key.refresh_from_db()
    assert key.status == "revoked"


# --- Whose keys ---


def others(eve: Caller, ada: Caller) -> list[ApiKey]:
    """Keys that Ada does not hold, in her own organization and in another."""
    join(eve.user, ada.organization, Role.ADMIN)
    callers = [
        eve.with_key(name="hers"),
        eve.with_key(name="hers, here", project=ada.project),
        eve.with_key(name="shared", kind=KeyKind.PROJECT, project=ada.project),
        eve.with_key(name="managing", kind=KeyKind.ADMIN, project=ada.project),
        ada.with_key(name="bot", kind=KeyKind.SERVICE_ACCOUNT),
    ]
    return [caller.key for caller in callers if caller.key is not None]


@pytest.mark.parametrize("act", ["rotate", "revoke"])
@pytest.mark.parametrize("method", ["get", "post"])
def test_a_key_somebody_else_holds_is_answered_as_one_that_never_was(
    ada: Caller, eve: Caller, page: Client, act: str, method: str
):
    keys = others(eve, ada)
    before = rows()
    for key in keys:
        answers = [
            getattr(page, method)(f"{KEYS}{key_id}/{act}/", {"overlap": "0"}) for key_id in (key.public_id, NEVER)
        ]
        bodies = [
            re.sub(r'"request_id":"[^"]*"', "", answer.text).replace(key_id, "")
            for answer, key_id in zip(answers, (key.public_id, NEVER), strict=True)
        ]
        assert ([answer.status_code for answer in answers], bodies[0]) == ([404, 404], bodies[1])
    assert (len(keys), rows()) == (5, before)


ADDRESSES = (KEYS, NEW, f"{NEW}{{project}}/", f"{KEYS}{{key}}/rotate/", f"{KEYS}{{key}}/revoke/")


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("method", ["get", "post"])
def test_nobody_signed_in_is_asked_to(ada: Caller, address: str, method: str):
    key = ada.with_key().key
    assert key is not None
    before = rows()
    address = address.format(project=ada.project.public_id, key=key.public_id)
    answer = getattr(Client(), method)(address)
    if method == "post" and address in (KEYS, NEW):
        assert answer.status_code == 405
    else:
        assert (answer.status_code, answer["Location"]) == (302, f"/accounts/login/?next={address}")
    assert rows() == before


@pytest.mark.parametrize("address", ADDRESSES[2:])
def test_a_form_without_its_token_changes_nothing(ada: Caller, page: Client, address: str):
    key = ada.with_key().key
    assert key is not None
    before = rows()
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = page.cookies
    answer = strict.post(address.format(project=ada.project.public_id, key=key.public_id), {**FORM, "overlap": "0"})
    assert (answer.status_code, rows()) == (403, before)


# --- Asking again ---


def test_making_and_rotating_ask_who_it_is_first(ada: Caller, page: Client):
    key = ada.with_key(name="old").key
    assert key is not None
    stale = browser(ada.user, seconds_ago=360)
    for path, form in ((f"{NEW}{ada.project.public_id}/", FORM), (rotation(key), {"overlap": "0"})):
        before = rows()
        for answer in (stale.get(path), stale.post(path, form)):
            assert (answer.status_code, answer["Location"].partition("?")[0]) == (302, "/accounts/reauthenticate/")
        assert rows() == before
    # The form is not lost.
    shown = stale.post("/accounts/reauthenticate/", {"password": "analytical-engine-1", "next": rotation(key)})
    assert (shown.status_code, "token" in shown.context) == (200, True)


def test_revoking_does_not_ask(ada: Caller, page: Client):
    key = ada.with_key().key
    assert key is not None
    assert browser(ada.user, seconds_ago=360).post(revocation(key)).status_code == 302
    assert ApiKey.objects.get().status == "revoked"


def test_the_account_leads_to_them(page: Client):
    home = page.get("/accounts/").text
    assert [home.count(f'<a href="{path}"') for path in (KEYS, "/accounts/usage/")] == [2, 2]


# --- The example ---


def test_the_example_names_a_model_that_the_key_can_call(ada: Caller, page: Client):
    provider = Provider.objects.create(name="gpu", kind="custom", base_url="http://127.0.0.1:9/v1")
    models = [
        Model.objects.create(model_id=name, capabilities=[capability])
        for name, capability in (("a/embedder", "embeddings"), ("b/talker", "chat"), ("c/talker", "chat"))
    ]
    for model in models:
        Route.objects.create(provider=provider, model=model, upstream_model=model.model_id)
    project = Project.objects.filter(pk=ada.project.pk)
    found = []
    for settings in ({}, {"default_model": "c/talker"}, {"denied_models": ["b/talker"]}, {"allowed_models": ["x"]}):
        project.update(settings=settings)
        text = page.post(f"{NEW}{ada.project.public_id}/", FORM).text
        found.append(re.findall(r"&quot;model&quot;: &quot;(.*?)&quot;|\"model\": \"(.*?)\"", text))
    assert [["".join(pair) for pair in pairs] for pairs in found] == [["b/talker"], ["c/talker"], ["c/talker"], []]
    project.update(settings={})
    text = page.post(f"{NEW}{ada.project.public_id}/", {**FORM, "scopes": ["models.read"]}).text
    assert ("/v1/models" in text, "/v1/chat/completions" in text) == (True, False)
