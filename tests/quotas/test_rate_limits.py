from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from apps.api_keys.tokens import KeyKind
from apps.audit.models import AuditEvent
from apps.audit.services import SYSTEM
from apps.organizations.roles import ProjectRole, Role
from apps.projects.models import Project, ProjectMembership
from apps.quotas.models import MAX_AMOUNT, RateLimit, id_in_project
from apps.quotas.services import set_limits
from tests.api_keys.conftest import Caller, join, sign_up

pytestmark = pytest.mark.django_db

TABLE = {"max_requests_per_1_minute": 6000, "max_requests_per_1_day": 1_000_000, "max_tokens_per_1_minute": 10_000_000}


def path(project: Project, model: str | None = None) -> str:
    listed = f"/v1/organization/projects/{project.public_id}/rate_limits"
    return listed if model is None else f"{listed}/{id_in_project(project.public_id, model)}"


def listed(caller: Caller, project: Project, query: str = "") -> Any:
    return caller.call("GET", path(project) + query).json()


def amounts(page: Any) -> dict[str, tuple[int, int, int]]:
    """Requests a minute, requests a day and tokens a minute, by model."""
    return {row["model"]: tuple(row[name] for name in TABLE) for row in page["data"]}


def events(action: str) -> list[dict[str, Any]]:
    return [event.details for event in AuditEvent.objects.filter(action=action).order_by("pk")]


def test_every_model_is_listed_with_what_the_table_says(ada, models):
    page = listed(ada, ada.project)
    assert [(row["object"], row["model"]) for row in page["data"]] == [
        ("project.rate_limit", name) for name in ("*", "a-model", "org/b-model")
    ]
    assert amounts(page) == dict.fromkeys(("*", "a-model", "org/b-model"), tuple(TABLE.values()))
    assert (page["rate_limits"], page["total"], page["has_more"]) == (page["data"], 3, False)
    first = listed(ada, ada.project, "?limit=2")
    assert (first["has_more"], first["last_id"]) == (True, page["data"][1]["id"])
    assert listed(ada, ada.project, f"?limit=2&after={first['last_id']}")["data"] == page["data"][2:]


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_what_is_set_holds_and_the_rest_stays(ada, models, method):
    changed = ada.call(method, path(ada.project, "a-model"), {"max_requests_per_1_minute": 5})
    expected = {
        "id": id_in_project(ada.project.public_id, "a-model"),
        "object": "project.rate_limit",
        "model": "a-model",
        **TABLE,
        "max_requests_per_1_minute": 5,
    }
    assert (changed.status_code, changed.json()) == (200, expected)
    assert listed(ada, ada.project)["data"][1] == expected
    ada.call(method, path(ada.project, "a-model"), {"max_tokens_per_1_minute": 7})
    ada.call(method, path(ada.project, "a-model"), {"max_requests_per_1_minute": None})
    assert RateLimit.objects.get().amounts == (None, None, 7)
    assert [{name: event[name] for name in event if name in TABLE} for event in events("rate_limit.updated")] == [
        {"max_requests_per_1_minute": [None, 5]},
        {"max_tokens_per_1_minute": [None, 7]},
        {"max_requests_per_1_minute": [5, None]},
    ]


def test_a_model_without_its_own_has_what_all_have_together(ada, models):
    ada.call("POST", path(ada.project, ""), {"max_requests_per_1_minute": 9})
    ada.call("POST", path(ada.project, "a-model"), {"max_requests_per_1_minute": 3})
    found = amounts(listed(ada, ada.project))
    assert {name: row[0] for name, row in found.items()} == {"*": 9, "a-model": 3, "org/b-model": 9}


def test_no_project_gets_more_than_its_organization_has(ada, models):
    body = {"max_requests_per_1_minute": 6001}
    refused = ada.call("POST", path(ada.project, "a-model"), body)
    error = refused.json()["error"]
    assert (refused.status_code, error["code"], error["param"]) == (400, "rate_limit_too_high", next(iter(body)))
    assert not RateLimit.objects.exists()
    set_limits(owner=ada.organization, model="", amounts={"max_requests_per_1_minute": 7000}, actor=SYSTEM)
    assert ada.call("POST", path(ada.project, "a-model"), body).status_code == 200
    set_limits(owner=ada.organization, model="org/b-model", amounts={"max_requests_per_1_minute": 8}, actor=SYSTEM)
    assert ada.call("POST", path(ada.project, "org/b-model"), {"max_requests_per_1_minute": 9}).status_code == 400
    assert {name: row[0] for name, row in amounts(listed(ada, ada.project)).items()} == {
        "*": 7000,
        "a-model": 6001,
        "org/b-model": 8,
    }


def test_taken_back_the_table_holds_again(ada, models):
    ada.call("POST", path(ada.project, "a-model"), {"max_requests_per_1_minute": 5})
    for _ in range(2):
        answer = ada.call("DELETE", path(ada.project, "a-model"))
        assert (answer.status_code, answer.json()) == (
            200,
            {
                "id": id_in_project(ada.project.public_id, "a-model"),
                "object": "project.rate_limit.deleted",
                "deleted": True,
            },
        )
    assert not RateLimit.objects.exists()
    assert len(events("rate_limit.deleted")) == 1
    assert amounts(listed(ada, ada.project))["a-model"] == tuple(TABLE.values())
    minimal = ada.call("DELETE", path(ada.project, "a-model"), Prefer="return=minimal")
    assert minimal.status_code == 204


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"max_requests_per_1_minute": 0}, "max_requests_per_1_minute", "invalid_value"),
        ({"max_requests_per_1_minute": -1}, "max_requests_per_1_minute", "invalid_value"),
        ({"max_requests_per_1_day": MAX_AMOUNT + 1}, "max_requests_per_1_day", "invalid_value"),
        ({"max_requests_per_1_day": 10**400}, "max_requests_per_1_day", "invalid_value"),
        ({"max_tokens_per_1_minute": "many"}, "max_tokens_per_1_minute", "invalid_value"),
        ({"max_tokens_per_1_minute": [1]}, "max_tokens_per_1_minute", "invalid_value"),
        ({"max_images_per_1_minute": 1}, "max_images_per_1_minute", "unknown_parameter"),
        ([], None, "invalid_value"),
    ],
)
def test_a_bad_body_is_refused_and_changes_nothing(ada, models, body, param, code):
    refused = ada.call("POST", path(ada.project, "a-model"), body)
    error = refused.json()["error"]
    assert (refused.status_code, error["param"], error["code"]) == (400, param, code)
    assert not RateLimit.objects.exists()
    assert events("rate_limit.updated") == []


def test_an_empty_change_changes_nothing(ada, models):
    assert ada.call("POST", path(ada.project, "a-model")).status_code == 200
    assert not RateLimit.objects.exists()


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
def test_strangers_find_nothing_and_change_nothing(ada, eve, models, method):
    theirs = path(eve.project) if method == "GET" else path(eve.project, "a-model")
    random = theirs.replace(eve.project.public_id, "proj_000000000000000000000000")
    answers = [ada.call(method, each, {}) for each in (theirs, random)]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].json()["error"]["code"] == answers[1].json()["error"]["code"] == "project_not_found"
    own = path(ada.project) + "/" + id_in_project(eve.project.public_id, "a-model")
    assert ada.call("POST", own, {"max_requests_per_1_minute": 1}).json()["error"]["code"] == "rate_limit_not_found"
    assert not RateLimit.objects.exists()


def test_a_member_sees_them_and_an_owner_of_the_project_too_and_neither_changes_them(ada, models):
    member = sign_up("member@example.com")
    membership = join(member.user, ada.organization, Role.MEMBER)
    ProjectMembership.objects.create(
        organization=ada.organization, project=ada.project, membership=membership, role=ProjectRole.OWNER
    )
    here = {"OpenAI_Organization": ada.organization.public_id}
    assert member.call("GET", path(ada.project), **here).status_code == 200
    refused = member.call("POST", path(ada.project, "a-model"), {"max_requests_per_1_minute": 1}, **here)
    assert refused.status_code == 403
    assert not RateLimit.objects.exists()
    key = ada.with_key(kind=KeyKind.PROJECT)
    assert key.call("GET", path(ada.project)).json()["error"]["code"] == "wrong_key_kind"


def test_models_that_the_project_may_not_call_are_not_listed(ada, models):
    Project.objects.filter(pk=ada.project.pk).update(settings={"allowed_models": ["org/b-model"]})
    assert list(amounts(listed(ada, ada.project))) == ["*", "org/b-model"]


def test_an_archived_projects_limits_are_only_read(ada, models):
    other = Project.objects.create(organization=ada.organization, name="old", archived_at="2026-01-01T00:00:00Z")
    assert ada.call("GET", path(other)).status_code == 200
    refused = ada.call("POST", path(other, "a-model"), {"max_requests_per_1_minute": 1})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "project_archived")


def test_the_database_takes_one_row_for_each_owner_and_model(ada):
    key = ada.with_key().key
    for place in ({}, {"project": ada.project}, {"api_key": key}):
        RateLimit.objects.create(organization=ada.organization, **place)
        with pytest.raises(IntegrityError), transaction.atomic():
            RateLimit.objects.create(organization=ada.organization, **place)
    for wrong in ({"project": ada.project, "api_key": key}, {"max_requests_per_1_minute": 0}):
        with pytest.raises(IntegrityError), transaction.atomic():
            RateLimit.objects.create(organization=ada.organization, model="m", **wrong)


def test_a_list_costs_the_same_whatever_its_length(ada, models):
    def queries() -> int:
        with CaptureQueriesContext(connection) as counted:
            listed(ada, ada.project, "?limit=100")
        return len(counted)

    short = queries()
    for number in range(30):
        set_limits(owner=ada.project, model=f"m{number}", amounts={"max_requests_per_1_day": 1}, actor=SYSTEM)
    assert len(listed(ada, ada.project, "?limit=100")["data"]) == 33
    assert queries() == short
