"""The owners' admin: their own organization's rows, and of all others nothing, not even that they are there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.db.models import Model
from django.test import Client
from django.urls import URLPattern, reverse

from apps.accounts.models import User
from apps.api_keys.models import ApiKey
from apps.audit.models import AuditEvent
from apps.console.tenant.lists import LISTS, site
from apps.organizations.models import CustomRole, Invite, Membership, Organization, OrganizationRoleAssignment
from apps.projects.models import Project, default_project
from tests.console.conftest import SIGN_IN, prove
from tests.console.test_admin import fill

LABELS = [model._meta.label for model in LISTS]


def pages() -> Iterator[tuple[str, str]]:
    """Every address of the site that names a row, as (label, name of the page)."""
    for model in LISTS:
        for url in site.get_model_admin(model).get_urls():
            assert isinstance(url, URLPattern)
            if "object_id" in url.pattern.converters:
                yield model._meta.label, url.name or ""


PAGES = sorted({page for page in pages() if page[1]})


@pytest.fixture
def owner(db: None) -> User:
    return User.objects.create_user("owner@example.com", "correct-horse-9", name="Olive")


@pytest.fixture
def own(owner: User) -> dict[str, Any]:
    return fill_of_organization(owner, "own")


@pytest.fixture
def theirs(db: None) -> dict[str, Any]:
    return fill_of_organization(User.objects.create_user("stranger@example.com", "pw"), "theirs")


@pytest.fixture
def owner_client(owner: User, own: dict[str, Any]) -> Client:
    client = signed_in(owner)
    client.post(reverse("tenant:choose"), {"organization": own["organizations.Organization"].public_id})
    return client


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user, backend=SIGN_IN)
    prove(client, user)
    return client


def fill_of_organization(user: User, name: str) -> dict[str, Any]:
    """A row of everything the site shows, in an organization of its own of which `user` is the owner."""
    number = sum(map(ord, name))
    rows = fill(number)
    organization: Organization = rows["organizations.Organization"]
    Organization.objects.filter(pk=organization.pk).update(name=f"{name} organization", is_personal=False)
    Membership.objects.create(organization=organization, user=user, role="owner")
    event = AuditEvent.objects.filter(organization=organization.public_id).first()
    assert event is not None
    return {**rows, "audit.AuditEvent": event}


def snapshot(rows: dict[str, Any]) -> dict[str, Any]:
    """What the database has of these rows."""
    return {
        label: type(row)._default_manager.filter(pk=row.pk).values().first()
        for label, row in rows.items()
        if label in LABELS
    }


def arguments(page: str, row: Model) -> list[Any]:
    return (
        [row.pk, "people"]
        if page.endswith("_organization_panel")
        else ([row.pk, "members"] if page.endswith("_panel") else [row.pk])
    )


def test_every_list_of_the_site_is_tested(own: dict[str, Any]):
    assert set(LABELS) <= set(own)
    assert len(PAGES) > 30


@pytest.mark.parametrize(("label", "page"), PAGES)
@pytest.mark.parametrize("method", ["get", "post"])
def test_a_row_of_another_tenant_is_not_found_and_untouched(
    owner_client: Client, theirs: dict[str, Any], label: str, page: str, method: str
):
    row, before = theirs[label], snapshot(theirs)
    model = apps.get_model(label)
    address = reverse(f"tenant:{page}", args=arguments(page, row))
    nowhere = reverse(f"tenant:{page}", args=arguments(page, model(pk=999_999_999)))
    posted = {"name": "taken over", "role": "owner", "post": "yes", "confirmed": "yes", "overlap": "0"}
    answers = [getattr(owner_client, method)(url, posted if method == "post" else {}) for url in (address, nowhere)]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].content.replace(address.encode(), b"") == answers[1].content.replace(nowhere.encode(), b"")
    assert snapshot(theirs) == before


@pytest.mark.parametrize(
    "label", [label for label in LABELS if label != "organizations.Organization"]
)  # of one, no list
def test_lists_searches_and_filters_show_ones_own_rows_only(
    owner_client: Client, own: dict[str, Any], theirs: dict[str, Any], label: str
):
    url = reverse(f"tenant:{label.lower().replace('.', '_')}_changelist")
    their_organization = theirs["organizations.Organization"]
    queries = [
        {},
        {"q": getattr(theirs[label], "public_id", "stranger@")},
        {"q": their_organization.public_id},
        {"q": "stranger@example.com"},
        {"organization__id__exact": their_organization.pk},
    ]
    for query in queries:
        answer = owner_client.get(url, query)
        rows = list(answer.context["cl"].result_list) if answer.status_code == 200 else []
        assert theirs[label] not in rows
        assert "theirs organization" not in answer.content.decode()
    assert own[label] in owner_client.get(url).context["cl"].result_list


@pytest.mark.parametrize("label", LABELS)
def test_files_have_ones_own_rows_only(owner_client: Client, own: dict[str, Any], theirs: dict[str, Any], label: str):
    url = reverse(f"tenant:{label.lower().replace('.', '_')}_export", args=["json"])
    listed = owner_client.get(url).content.decode()
    ids = [str(getattr(rows[label], "public_id", rows[label].pk)) for rows in (own, theirs)]
    assert [f'"id": "{each}"' in listed for each in ids] == [True, False]


@pytest.mark.parametrize("label", LABELS)
def test_actions_do_nothing_to_another_tenants_rows(owner_client: Client, theirs: dict[str, Any], label: str):
    model, before = apps.get_model(label), snapshot(theirs)
    url = reverse(f"tenant:{label.lower().replace('.', '_')}_changelist")
    for action in site.get_model_admin(model).actions or ():
        posted = {"action": action, "_selected_action": [theirs[label].pk], "confirmed": "yes", "role": "owner"}
        owner_client.post(url, posted)
        owner_client.post(url, {**posted, "select_across": "1"})
    assert snapshot(theirs) == before


def test_the_palette_finds_ones_own_only(
    owner_client: Client, own: dict[str, Any], theirs: dict[str, Any], owner: User
):
    for term in (theirs["projects.Project"].public_id, "stranger@example.com", "theirs"):
        answer = owner_client.get(reverse("tenant:search"), {"s": term, "extended": "1"})
        assert "theirs" not in answer.content.decode()
        assert "Default project" not in answer.content.decode()
    found = owner_client.get(reverse("tenant:search"), {"s": own["projects.Project"].public_id, "extended": "1"})
    assert "Default project" in found.content.decode()


def test_what_an_operator_found_is_not_shown_to_the_same_user_as_an_owner(
    owner: User, own: dict[str, Any], theirs: dict[str, Any]
):
    User.objects.get_queryset().filter(pk=owner.pk).update(is_staff=True, is_superuser=True)
    client = signed_in(User.objects.get(pk=owner.pk))
    term = {"s": theirs["organizations.Organization"].public_id, "extended": "1"}
    assert "theirs organization" in client.get(reverse("admin:search"), term).content.decode()
    assert "theirs organization" not in client.get(reverse("tenant:search"), term).content.decode()


@pytest.mark.parametrize(
    ("app", "model", "field"),
    [
        ("projects", "projectmembership", "project"),
        ("projects", "projectmembership", "membership"),
        ("organizations", "membership", "user"),
        ("api_keys", "apikey", "project"),
        ("projects", "project", "organization"),
    ],
)
def test_choices_are_ones_own(
    owner_client: Client, own: dict[str, Any], theirs: dict[str, Any], app: str, model: str, field: str
):
    place = {"app_label": app, "model_name": model, "field_name": field}
    for term in ("", "stranger@", theirs["organizations.Organization"].public_id):
        answer = owner_client.get(reverse("tenant:autocomplete"), {**place, "term": term})
        assert "theirs" not in answer.content.decode()
        assert "stranger" not in answer.content.decode()


def test_nothing_is_made_in_another_tenant(owner_client: Client, theirs: dict[str, Any], own: dict[str, Any]):
    foreign, project = theirs["organizations.Organization"], theirs["projects.Project"]
    counts = [model.objects.in_organization(foreign.pk).count() for model in (Project, Invite, ApiKey)]
    posts = {
        "projects_project_add": {"name": "in", "organization": foreign.pk},
        "organizations_invite_add": {
            "email": "x@example.com",
            "role": "owner",
            "organization": foreign.pk,
            "days": "7",
        },
        "api_keys_apikey_add": {"kind": "project", "name": "k", "project": project.pk},
        "projects_projectmembership_add": {
            "project": project.pk,
            "membership": theirs["organizations.Membership"].pk,
            "role": "owner",
        },
    }
    for page, posted in posts.items():
        assert owner_client.post(reverse(f"tenant:{page}"), posted).status_code == 200  # the form again, with an error
    assert [model.objects.in_organization(foreign.pk).count() for model in (Project, Invite, ApiKey)] == counts


def test_somebody_without_an_organization_to_manage_is_refused(client: Client, own: dict[str, Any]):
    organization = own["organizations.Organization"]
    member = User.objects.create_user("member@example.com", "pw")
    Membership.objects.filter(user=member).delete()
    Membership.objects.create(organization=organization, user=member, role="member")
    url = reverse("tenant:organizations_membership_changelist")
    answer = client.get(url)
    assert (answer.status_code, answer.url.partition("?")[0]) == (302, "/organization/login/")
    assert client.get(answer.url).url.startswith("/accounts/login/?next=/organization/")
    member_client = signed_in(member)
    assert member_client.get(member_client.get(url).url).url == reverse("tenant:choose")


def test_an_owner_is_no_operator(owner_client: Client):
    answer = owner_client.get("/admin/")
    assert (answer.status_code, answer.url.partition("?")[0]) == (302, "/admin/login/")


def test_an_admin_touches_no_owner_and_makes_none(own: dict[str, Any]):
    organization = own["organizations.Organization"]
    admin_user = User.objects.create_user("adm@example.com", "pw")
    mine = Membership.objects.create(organization=organization, user=admin_user, role="admin")
    client = signed_in(admin_user)
    client.post(reverse("tenant:choose"), {"organization": organization.public_id})
    boss = Membership.objects.filter(organization=organization, role="owner").latest("pk")
    change = reverse("tenant:organizations_membership_change", args=[boss.pk])
    client.post(change, {"role": "member"})
    client.post(reverse("tenant:organizations_membership_remove_one", args=[boss.pk]))
    client.post(reverse("tenant:organizations_membership_change", args=[mine.pk]), {"role": "owner"})
    client.post(reverse("tenant:organizations_invite_add"), {"email": "y@example.com", "role": "owner", "days": "7"})
    roles = dict(Membership.objects.filter(pk__in=[boss.pk, mine.pk]).values_list("pk", "role"))
    assert roles == {boss.pk: "owner", mine.pk: "admin"}
    assert not Invite.objects.filter(email="y@example.com").exists()
    assert (
        client.post(reverse("tenant:organizations_organization_remove_one", args=[organization.pk])).status_code == 403
    )


def test_an_owner_makes_a_project_a_key_and_an_invite(owner_client: Client, own: dict[str, Any], owner: User):
    organization = own["organizations.Organization"]
    made = owner_client.post(
        reverse("tenant:projects_project_add"),
        {"name": "Apollo", "organization": organization.pk, "retention_days": "30", "allowed_models": "a\nb"},
    )
    assert made.status_code == 302
    project = Project.objects.get(name="Apollo")
    assert project.settings == {"retention_days": 30, "allowed_models": ["a", "b"]}
    shown = owner_client.post(
        reverse("tenant:api_keys_apikey_add"), {"kind": "project", "name": "k", "project": project.pk}
    )
    key = ApiKey.objects.get(project=project)
    assert shown.context["token"].startswith("jan_pk_")
    assert key.user_id == owner.pk
    invited = {"email": "new@example.com", "role": "member", "days": "3", "organization": organization.pk}
    owner_client.post(reverse("tenant:organizations_invite_add"), invited)
    assert Invite.objects.get(email="new@example.com").organization_id == organization.pk


@pytest.mark.parametrize(
    ("kind", "right"), [("organization", "admin_keys.write"), ("service_account", "service_accounts.write")]
)
def test_keys_take_the_same_rights_as_over_the_api(own: dict[str, Any], kind: str, right: str):
    organization = own["organizations.Organization"]
    clerk = User.objects.create_user("clerk@example.com", "pw")
    membership = Membership.objects.create(organization=organization, user=clerk, role="member")
    rights = [
        "organization.read",
        "organization.write",
        "projects.read",
        "admin_keys.read",
        "api_keys.read",
        "api_keys.write",
    ]
    role = CustomRole.objects.create(
        organization=organization, name="clerk", resource_type="organization", permissions=rights
    )
    OrganizationRoleAssignment.objects.create(organization=organization, role=role, membership=membership)
    key = own["api_keys.ApiKey"]
    ApiKey.objects.filter(pk=key.pk).update(kind=kind, project=None if kind == "organization" else key.project_id)
    client = signed_in(clerk)
    client.post(reverse("tenant:choose"), {"organization": organization.public_id})
    revoke = {"action": "revoke", "_selected_action": [key.pk]}
    keys = ApiKey.objects.in_organization(organization.pk)
    before = list(keys.order_by("pk").values())
    client.post(reverse("tenant:api_keys_apikey_add"), {"kind": "organization", "name": "k"})
    client.post(reverse("tenant:api_keys_apikey_changelist"), revoke)
    assert list(keys.order_by("pk").values()) == before
    CustomRole.objects.filter(pk=role.pk).update(permissions=[*rights, right])
    client.post(reverse("tenant:api_keys_apikey_changelist"), revoke)
    assert keys.get(pk=key.pk).revoked_at is not None


def test_an_owner_of_two_has_one_at_a_time(owner_client: Client, owner: User, own: dict[str, Any]):
    first = Organization.objects.of(owner.pk).get(is_personal=True)
    listed = owner_client.get(reverse("tenant:choose"))
    assert {each.pk for each in listed.context["organizations"]} == {first.pk, own["organizations.Organization"].pk}
    page = reverse("tenant:organizations_organization_change", args=[own["organizations.Organization"].pk])
    owner_client.post(reverse("tenant:choose"), {"organization": first.public_id})
    assert owner_client.get(page).status_code == 404
    owner_client.post(reverse("tenant:choose"), {"organization": own["organizations.Organization"].public_id})
    assert owner_client.get(page).status_code == 200
    assert default_project(first.pk) is not None


def test_every_page_of_ones_own_opens(owner_client: Client, own: dict[str, Any]):
    asked = [reverse(f"tenant:{page}", args=arguments(page, own[label])) for label, page in PAGES]
    wrong = {}
    for url in asked:
        status = owner_client.get(url).status_code
        if status not in (200, 302, 403):
            wrong[url] = status
    assert wrong == {}


@pytest.mark.parametrize("model", [model for model in LISTS if model is not Organization])
def test_no_search_asks_for_the_id_of_an_organization(model: type[Model]):
    listed = site.get_model_admin(model)
    assert "org_" not in str(listed.search_help_text)
    assert "org_" not in getattr(listed, "search_by", {})


def test_what_a_search_asks_for_reads_well():
    texts = [str(site.get_model_admin(model).search_help_text) for model in (Project, Membership, Invite)]
    assert texts == [
        "The beginning of a name or a proj_ id, or a member's e-mail address.",
        "The beginning of an e-mail address, or a whole user_ id.",
        "The beginning of an e-mail address or an inv_ id.",
    ]


def test_the_account_page_leads_to_the_organizations(owner: User):
    assert f'href="{reverse("tenant:choose")}"' in signed_in(owner).get(reverse("account_home")).text
