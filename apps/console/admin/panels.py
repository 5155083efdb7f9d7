"""What an organization's page shows beside its own fields: a page of rows in each tab, never all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from django.contrib.admin.utils import quote
from django.core.paginator import InvalidPage
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

from apps.api_keys.models import ApiKey
from apps.audit.models import AuditEvent
from apps.core.admin import InfinitePaginator, OperatorAdmin
from apps.organizations.models import CustomRole, Group, Invite, Membership, Organization
from apps.projects.models import Project, ProjectMembership, ServiceAccount

PER_PAGE = 20

Columns = tuple[tuple[str, Callable[[Any], Any]], ...]


class Panel(NamedTuple):
    """
    A tab: which rows of a model's list it shows, newest first, and what of them.

    `add`: what the button that makes one says, for the ones that are made on a form of their own.
    """

    name: str
    title: str
    model: type[Model]
    columns: Columns
    rows: Callable[[QuerySet[Any], Any], QuerySet[Any]]
    add: str = ""


class Row(NamedTuple):
    url: str
    cells: list[Any]


class Tab(NamedTuple):
    title: str
    url: str
    is_active: bool


def _in_organization(rows: QuerySet[Any], place: Any) -> QuerySet[Any]:
    return rows.filter(organization=place)


def _in_project(rows: QuerySet[Any], place: Any) -> QuerySet[Any]:
    return rows.filter(organization=place.organization_id, project=place)


ORGANIZATION_PANELS = (
    Panel(
        "people",
        "People",
        Membership,
        (
            ("Person", lambda row: row.user),
            ("Name", lambda row: row.user.name),
            ("Role", lambda row: row.role),
            ("Since", lambda row: row.created_at),
        ),
        _in_organization,
        "Add a member",
    ),
    Panel(
        "projects",
        "Projects",
        Project,
        (
            ("Project", lambda row: row.name),
            ("Id", lambda row: row.public_id),
            ("State", lambda row: "deleted" if row.deleted_at else row.status),
            ("Made", lambda row: row.created_at),
        ),
        _in_organization,
        "New project",
    ),
    Panel(
        "keys",
        "Keys",
        ApiKey,
        (
            ("Key", lambda row: row.name),
            ("Secret", lambda row: row.redacted_value),
            ("Kind", lambda row: row.kind),
            ("Project", lambda row: row.project.name if row.project else "all of them"),
            ("State", lambda row: row.status),
            ("Last used", lambda row: row.last_used_at or "never"),
        ),
        _in_organization,
        "New key",
    ),
    Panel(
        "invites",
        "Invites",
        Invite,
        (
            ("E-mail", lambda row: row.email),
            ("Role", lambda row: row.role),
            ("State", lambda row: row.state),
            ("Sent", lambda row: row.sent_at or row.created_at),
            ("Good until", lambda row: row.expires_at),
        ),
        _in_organization,
        "Invite people",
    ),
    Panel(
        "groups",
        "Groups",
        Group,
        (("Group", lambda row: row.name), ("Made", lambda row: row.created_at)),
        _in_organization,
        "New group",
    ),
    Panel(
        "roles",
        "Roles",
        CustomRole,
        (
            ("Role", lambda row: row.name),
            ("For", lambda row: row.resource_type),
            ("May", lambda row: ", ".join(row.permissions)),
        ),
        _in_organization,
        "New role",
    ),
    Panel(
        "audit",
        "Audit",
        AuditEvent,
        (
            ("What", lambda row: row.action),
            ("When", lambda row: row.created_at),
            ("Who", lambda row: row.actor_label or row.actor_kind),
            ("On", lambda row: row.target_id),
            ("From", lambda row: row.address),
        ),
        lambda rows, place: rows.filter(organization=place.public_id),
    ),
)

PROJECT_PANELS = (
    Panel(
        "members",
        "Members",
        ProjectMembership,
        (
            ("Person", lambda row: row.membership.user),
            ("Role", lambda row: row.role),
            ("Since", lambda row: row.created_at),
        ),
        _in_project,
        "Add a member",
    ),
    Panel(
        "keys",
        "Keys",
        ApiKey,
        ORGANIZATION_PANELS[2].columns[:3] + ORGANIZATION_PANELS[2].columns[4:],
        _in_project,
        "New key",
    ),
    Panel(
        "service-accounts",
        "Service accounts",
        ServiceAccount,
        (
            ("Name", lambda row: row.name),
            ("Role", lambda row: row.role),
            ("State", lambda row: "active" if row.is_active else "disabled"),
            ("Made", lambda row: row.created_at),
        ),
        _in_project,
        "New service account",
    ),
    Panel(
        "audit",
        "Audit",
        AuditEvent,
        ORGANIZATION_PANELS[-1].columns,
        lambda rows, place: rows.filter(organization=place.organization.public_id, project=place.public_id),
    ),
)


def page_url(admin: OperatorAdmin, model: type[Model], page: str, *args: Any) -> str:
    """Return the address of a model's page on the site of this admin, or nothing if it has none there."""
    try:
        return reverse(f"{admin.admin_site.name}:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)
    except NoReverseMatch:
        return ""


def tabs_of(request: HttpRequest, admin: OperatorAdmin, panels: tuple[Panel, ...], place: Any, now: str) -> list[Tab]:
    """Return the tabs that the user may open, the page of the row's own fields first."""
    own = Tab("Overview", page_url(admin, admin.model, "change", quote(place.pk)), now == "")
    return [
        own,
        *(
            Tab(panel.title, page_url(admin, admin.model, "panel", quote(place.pk), panel.name), now == panel.name)
            for panel in panels
            if admin.allows(request, "view", panel.model)
        ),
    ]


def table_of(request: HttpRequest, admin: OperatorAdmin, panel: Panel, place: Any) -> dict[str, Any]:
    """Return a page of a panel's rows for its template."""
    listed = admin.admin_site.get_model_admin(panel.model)
    rows_here = panel.rows(listed.get_queryset(request), place).order_by("-created_at", "-id")
    if listed.list_select_related:
        rows_here = rows_here.select_related(*listed.list_select_related)
    pages = InfinitePaginator(rows_here, PER_PAGE)
    try:
        page = pages.page(request.GET.get("p", 1))
    except InvalidPage:
        page = pages.page(1)
    # As many as a page has, or one less than there are: then there is no other page.
    found = list(page.object_list)
    rows = [
        Row(page_url(admin, panel.model, "change", quote(row.pk)), [value(row) for _, value in panel.columns])
        for row in found
    ]
    kind = "organization" if isinstance(place, Organization) else "project"
    add = page_url(admin, panel.model, "add") if panel.add and admin.allows(request, "add", panel.model) else ""
    return {
        "panel": panel,
        "headers": [title for title, _ in panel.columns],
        "rows": rows,
        "page": page,
        "is_last": len(found) < PER_PAGE,
        "add_url": f"{add}?{kind}={place.pk}" if add else "",
    }
