"""`GET /v1/organization/audit_logs`: what it says, of whom, and to whom."""

from __future__ import annotations

import datetime
import json
import typing
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection
from django.utils import timezone
from openai.types.admin.organization.audit_log_list_response import AuditLogListResponse

from apps.api_keys.services import Holder, create_key
from apps.api_keys.tokens import KeyKind
from apps.audit import chain
from apps.audit.event_types import OPENAI_TYPES, type_of
from apps.audit.models import AuditEvent
from apps.audit.services import SYSTEM, Action, Actor, record
from apps.projects.models import ServiceAccount
from tests.api_keys.conftest import Caller
from tests.audit.tampering import without_triggers
from tests.organizations.conftest import Member, Team, refused

PATH = "/v1/organization/audit_logs"


@pytest.fixture
def acme(team: Team) -> Team:
    """A team whose log has nothing but what a test does: its making happened a day ago."""
    with without_triggers():
        AuditEvent.objects.update(created_at=timezone.now() - datetime.timedelta(days=1))
    return team


def note(team: Team, action: Action = Action.PROJECT_UPDATED, actor: Actor = SYSTEM, **fields: Any) -> str:
    """Add an event to a team's log and return its id."""
    record(action, actor=actor, organization=team.organization.public_id, **fields)
    return AuditEvent.objects.latest("pk").public_id


def asked(caller: Member, query: str = "") -> list[str]:
    """The ids of the events that a query finds, newest first."""
    response = caller.call("GET", f"{PATH}?{query}")
    assert response.status_code == 200, response.content
    assert response.json()["audit_logs"] == response.json()["data"]
    return [event["id"] for event in response.json()["data"]]


# --- What an event says ---------------------------------------------------------------------------


def test_a_change_by_a_person_is_told_with_what_was_before(acme: Team):
    project = acme.project("Reserch")
    changed = acme.owner.call("PATCH", f"/v1/organization/projects/{project.public_id}", {"name": "Research"})
    assert changed.status_code == 200
    event = AuditEvent.objects.latest("pk")
    connection.run_before_commit()
    first = acme.owner.call("GET", f"{PATH}?limit=1").json()["data"][0]
    assert first == {
        "id": event.public_id,
        "object": "organization.audit_log",
        "type": "project.updated",
        "type_detail": "project.updated",
        "effective_at": int(event.created_at.timestamp()),
        "actor": {
            "type": "session",
            "session": {
                "user": {"id": acme.owner.user.pk, "email": "owner@example.com"},
                "ip_address": event.address or None,
                "impersonator_id": None,
            },
        },
        "project": {"id": project.public_id, "name": "Research"},
        "project.updated": {
            "id": project.public_id,
            "changes_requested": {"name": "Research", "title": "Research"},
            "changes_from": {"name": "Reserch"},
            "data": {},
        },
        "request_id": None,  # the edge gives it one
        "sequence": event.link.sequence,
        "previous_hash": event.link.previous_hash,
        "hash": event.link.hash,
        "record": chain.content_of(event),
    }
    assert event.link.sequence == AuditEvent.objects.in_organization(event.organization).count()


def test_a_key_is_told_with_who_holds_it(acme: Team):
    account = ServiceAccount.objects.create(organization=acme.organization, project=acme.default, name="robot")
    held, _ = create_key(kind=KeyKind.PROJECT, name="mine", place=acme.default, holder=Holder(acme.owner.user))
    robots, _ = create_key(
        kind=KeyKind.SERVICE_ACCOUNT, name="its", place=acme.default, holder=Holder(service_account=account)
    )
    for key in (held.public_id, robots.public_id, "key_gone"):
        note(acme, actor=Actor("api_key", key, "label"))
    found = acme.owner.call("GET", f"{PATH}?limit=3").json()["data"]
    where = {"name": "label", "ip_address": None}
    user = {"id": acme.owner.user.pk, "email": "owner@example.com"}
    assert [event["actor"] for event in reversed(found)] == [
        {"type": "api_key", "api_key": {"id": held.public_id, **where, "type": "user", "user": user}},
        {
            "type": "api_key",
            "api_key": {
                "id": robots.public_id, **where, "type": "service_account",
                "service_account": {"id": account.public_id},
            },
        },
        {"type": "api_key", "api_key": {"id": "key_gone", **where, "type": None}},
    ]  # fmt: skip


def test_the_server_itself_is_an_actor_without_a_type_and_an_operator_behind_a_person_is_shown(acme: Team):
    note(acme)
    note(acme, actor=Actor("user", acme.owner.user.pk, "owner@example.com", "user_operator"))
    second, first = acme.owner.call("GET", f"{PATH}?limit=2").json()["data"]
    assert first["actor"] == {"type": None, "kind": "system"}
    assert second["actor"]["session"]["impersonator_id"] == "user_operator"


def test_every_action_has_a_type_of_openais(acme: Team):
    known = set(typing.get_args(AuditLogListResponse.model_fields["type"].annotation))
    assert known == OPENAI_TYPES
    assert {action.value for action in Action if type_of(action) not in OPENAI_TYPES} == set()
    assert all(type_of(action) == action for action in Action if action in OPENAI_TYPES)
    others = {action.value: type_of(action) for action in Action if action not in OPENAI_TYPES}
    assert {name: others[name] for name in ("api_key.rotated", "project.unarchived", "model.deleted")} == {
        "api_key.rotated": "api_key.updated",
        "project.unarchived": "project.updated",
        "model.deleted": "resource.deleted",
    }
    assert {others[name] for name in others if name.startswith("organization.")} == {"organization.updated"}


def test_what_openai_has_no_word_for_bears_the_nearest_and_its_own(acme: Team):
    note(acme, Action.PROVIDER_DELETED, target_kind="provider", target_id="prov_1", name="vLLM")
    event = acme.owner.call("GET", f"{PATH}?limit=1").json()["data"][0]
    assert (event["type"], event["type_detail"]) == ("resource.deleted", "provider.deleted")
    assert event["resource.deleted"] == {"id": "prov_1", "data": {"name": "vLLM"}}
    assert (event["project"], event["request_id"]) == (None, None)


def test_times_are_iso_for_whoever_asks(acme: Team):
    at = AuditEvent.objects.get(public_id=note(acme)).created_at
    event = acme.owner.call("GET", f"{PATH}?limit=1&timestamps=iso").json()["data"][0]
    assert event["effective_at"] == at.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# --- Filters --------------------------------------------------------------------------------------


def test_event_types_are_openais_or_the_servers_own_in_every_spelling(acme: Team):
    archived, back = note(acme, Action.PROJECT_ARCHIVED), note(acme, Action.PROJECT_UNARCHIVED)
    changed = note(acme, Action.PROJECT_UPDATED)
    both = [changed, back]
    assert asked(acme.owner, "event_types[]=project.updated") == both
    assert asked(acme.owner, "event_types=project.unarchived") == [back]
    three = [changed, back, archived]
    for query in (
        "event_types[]=project.updated&event_types[]=project.archived",
        "event_types=project.updated&event_types=project.archived",
        "event_types=project.updated,project.archived",
    ):
        assert asked(acme.owner, query) == three
    assert asked(acme.owner, "event_types[]=certificate.created") == []


def test_projects_actors_and_resources_narrow_the_list(acme: Team):
    one = note(acme, project="proj_one", target_id="thing_1", actor=Actor("user", "user_1", "a@example.com"))
    two = note(acme, project="proj_two", target_id="thing_2", actor=Actor("user", "user_2", "b@example.com"))
    assert asked(acme.owner, "project_ids[]=proj_one") == [one]
    assert asked(acme.owner, "project_ids=proj_one,proj_two") == [two, one]
    assert asked(acme.owner, "actor_ids[]=user_2") == [two]
    assert asked(acme.owner, "actor_emails[]=A@example.com") == [one]
    assert asked(acme.owner, "resource_ids=thing_1&resource_ids=thing_2") == [two, one]
    assert asked(acme.owner, "resource_ids=thing_1&actor_ids=user_2") == []


def test_a_holder_is_asked_for_with_what_its_keys_did(acme: Team):
    account = ServiceAccount.objects.create(organization=acme.organization, project=acme.default, name="robot")
    held, _ = create_key(kind=KeyKind.PROJECT, name="mine", place=acme.default, holder=Holder(acme.admin.user))
    robots, _ = create_key(
        kind=KeyKind.SERVICE_ACCOUNT, name="its", place=acme.default, holder=Holder(service_account=account)
    )
    theirs, its = (note(acme, actor=Actor("api_key", key.public_id, "label")) for key in (held, robots))
    made = AuditEvent.objects.get(action=Action.API_KEY_CREATED, target_id=held.public_id).public_id
    assert asked(acme.owner, f"actor_ids[]={acme.admin.user.pk}") == [theirs, made]
    assert asked(acme.owner, "actor_emails[]=admin@example.com") == [theirs, made]
    assert asked(acme.owner, f"actor_ids[]={account.public_id}") == [its]
    assert asked(acme.owner, f"actor_ids[]={held.public_id}") == [theirs]


def test_a_span_is_of_whole_seconds_as_clients_see_them(acme: Team):
    ids = [note(acme) for _ in range(3)]
    start = datetime.datetime(2026, 1, 1, 12, 0, 0, tzinfo=datetime.UTC)
    with without_triggers():
        for second, public_id in enumerate(ids):
            moment = start + datetime.timedelta(seconds=second, milliseconds=500)
            AuditEvent.objects.filter(public_id=public_id).update(created_at=moment)
    at, here = int(start.timestamp()), f"effective_at[lt]={int(start.timestamp()) + 10}"
    assert asked(acme.owner, f"effective_at[gt]={at}&{here}") == [ids[2], ids[1]]
    assert asked(acme.owner, f"effective_at[gte]={at + 1}&{here}") == [ids[2], ids[1]]
    assert asked(acme.owner, f"effective_at[lt]={at + 1}") == [ids[0]]
    assert asked(acme.owner, f"effective_at[lte]={at + 1}") == [ids[1], ids[0]]
    assert asked(acme.owner, f"effective_at[gte]={at + 1}&effective_at[lte]={at + 1}") == [ids[1]]


def test_tenant_only_finds_what_openai_counts_as_a_tenants(acme: Team):
    note(acme)
    made = note(acme, Action.IDENTITY_PROVIDER_CREATED)
    assert asked(acme.owner, "tenant_only=true") == [made]
    assert asked(acme.owner, "tenant_only=true&event_types[]=tenant.sso_connection.created") == [made]
    assert len(asked(acme.owner, "tenant_only=false")) > 1
    response = acme.owner.call("GET", f"{PATH}?tenant_only=true&event_types[]=project.updated")
    assert (response.status_code, response.json()["error"]["param"]) == (400, "event_types")


REFUSED = [
    ("event_types[]=project.exploded", "event_types"),
    ("event_types[]=", "event_types"),
    ("event_types=" + quote("\ud800", errors="surrogatepass"), "event_types"),
    ("project_ids[]=" + ",".join(map(str, range(101))), "project_ids"),
    ("actor_ids[]=%00", "actor_ids"),
    ("actor_emails=" + "a" * 256, "actor_emails"),
    ("resource_ids=a,,b", "resource_ids"),
    ("tenant_only=maybe", "tenant_only"),
    ("effective_at[gt]=yesterday", "effective_at[gt]"),
    ("effective_at[lte]=-1", "effective_at[lte]"),
    ("effective_at[lte]=1.5", "effective_at[lte]"),
    ("effective_at[gte]=253402300799", "effective_at[gte]"),
    ("effective_at[gte]=" + "9" * 5000, "effective_at[gte]"),
    ("effective_at[lt]=%D9%A1", "effective_at[lt]"),
    ("effective_at[around]=1", "effective_at[around]"),
    ("effective_at=1", "effective_at"),
    ("limit=101", "limit"),
    ("after=audit_nothing", "after"),
    ("before=%00", "before"),
]


def test_what_cannot_be_understood_is_refused_by_name(acme: Team):
    for query, param in REFUSED:
        response = acme.owner.call("GET", f"{PATH}?{query}")
        assert (response.status_code, response.json()["error"]["param"]) == (400, param)


@pytest.mark.parametrize("name", ["project_ids", "actor_ids", "actor_emails", "resource_ids"])
def test_odd_values_find_nothing(acme: Team, name: str):
    note(acme)
    for value in ("%ED%A0%80", "%FF", "%27%3B--", "%F0%9F%92%A5", "%E2%80%AE"):
        assert asked(acme.owner, f"{name}[]={value}") == []


# --- Pages ----------------------------------------------------------------------------------------


def test_pages_go_both_ways_by_event_ids(acme: Team):
    ids = [note(acme) for _ in range(5)][::-1]
    first = acme.owner.call("GET", f"{PATH}?limit=2").json()
    shown = {name: first[name] for name in ("first_id", "last_id", "has_more", "next_after", "next", "limit")}
    assert shown == {
        "first_id": ids[0], "last_id": ids[1], "has_more": True, "next_after": ids[1], "next": ids[1], "limit": 2,
    }  # fmt: skip
    assert asked(acme.owner, f"limit=2&after={ids[1]}") == ids[2:4]
    assert asked(acme.owner, f"limit=9&before={ids[2]}") == ids[:2]
    assert asked(acme.owner, f"limit=5&after={ids[0]}&before={ids[4]}") == ids[1:4]


def test_an_event_of_somebody_else_is_no_cursor(acme: Team, strangers: Team):
    theirs = note(strangers)
    answers = [acme.owner.call("GET", f"{PATH}?after={cursor}") for cursor in (theirs, "audit_" + "x" * 24)]
    assert [refused(answer)[0] for answer in answers] == [400, 400]
    bodies = [{**answer.json()["error"], "request_id": ""} for answer in answers]
    assert bodies[0] == bodies[1]


def test_a_page_of_any_size_takes_the_same_queries(acme: Team, django_assert_num_queries: Any):
    def page(limit: int) -> int:
        with django_assert_num_queries(QUERIES):
            return len(acme.owner.call("GET", f"{PATH}?limit={limit}").json()["data"])

    for number in range(20):
        key, _ = create_key(kind=KeyKind.PROJECT, name=str(number), place=acme.default, holder=Holder(acme.admin.user))
        note(acme, project=acme.project(str(number)).public_id, actor=Actor("api_key", key.public_id, "label"))
    acme.owner.call("GET", PATH)
    assert [page(1), page(20)] == [1, 20]


QUERIES = 9


# --- Whose events, and to whom --------------------------------------------------------------------


def test_nothing_of_another_tenant_or_the_platform_is_shown(acme: Team, strangers: Team):
    record(Action.LOGIN_SUCCEEDED, actor=Actor("user", acme.owner.user.pk, "owner@example.com"))
    theirs, ours = note(strangers, actor=Actor("user", acme.owner.user.pk, "owner@example.com")), note(acme)
    shown = asked(acme.owner, "limit=100")
    assert shown[0] == ours
    assert theirs not in shown
    own = AuditEvent.objects.in_organization(acme.organization.public_id)
    assert set(shown) == set(own.values_list("public_id", flat=True))
    assert asked(acme.owner, f"actor_ids[]={acme.owner.user.pk}&effective_at[gte]={2**31}") == []
    for query in ("event_types[]=login.succeeded", f"resource_ids[]={strangers.organization.public_id}"):
        assert asked(acme.owner, query) == []


def test_a_key_that_is_not_the_tenants_is_not_looked_up(acme: Team, strangers: Team):
    key, _ = create_key(kind=KeyKind.PROJECT, name="x", place=strangers.default, holder=Holder(strangers.owner.user))
    note(acme, actor=Actor("api_key", key.public_id, "label"), project=strangers.default.public_id)
    event = acme.owner.call("GET", f"{PATH}?limit=1").json()["data"][0]
    assert event["actor"]["api_key"] == {"id": key.public_id, "name": "label", "ip_address": None, "type": None}
    assert event["project"] == {"id": strangers.default.public_id, "name": None}


def test_owners_and_admins_read_it_and_nobody_else(acme: Team, strangers: Team):
    made = note(acme)
    for path in (PATH, f"/v1/organization/{acme.organization.public_id}/audit_logs"):
        for caller in (acme.owner, acme.admin):
            assert caller.call("GET", path).json()["data"][0]["id"] == made
        for caller in (acme.member, acme.viewer):
            assert refused(caller.call("GET", path)) == (403, "insufficient_permissions")
    foreign = Caller(strangers.owner.user, strangers.owner.secret).call(
        "GET", f"/v1/organization/{acme.organization.public_id}/audit_logs"
    )
    assert refused(foreign)[0] == 404


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE"])
def test_nobody_writes_to_it(acme: Team, method: str):
    before = list(AuditEvent.objects.values_list("pk", flat=True))
    assert refused(acme.owner.call(method, PATH, {"type": "project.deleted"}))[0] == 405
    assert list(AuditEvent.objects.values_list("pk", flat=True)) == before


# --- The chain ------------------------------------------------------------------------------------


def test_no_number_of_a_row_is_shown(acme: Team):
    event = AuditEvent.objects.get(public_id=note(acme))
    shown = acme.owner.call("GET", f"{PATH}?limit=1").json()["data"][0]["record"]
    assert "id" not in shown
    assert shown == json.loads(json.dumps(chain.content_of(event)))
