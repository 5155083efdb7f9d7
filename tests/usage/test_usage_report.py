from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.http import QueryDict

from apps.api_keys.tokens import KeyKind
from apps.core.errors import BadRequest
from apps.organizations.roles import ProjectRole, Role
from apps.projects.models import Project, ProjectMembership
from apps.usage import parameters
from apps.usage.models import State, UsageRecord
from apps.usage.queries import usage_of
from tests.api_keys.conftest import Caller, join, sign_up

pytestmark = pytest.mark.django_db

# 2026-11-01 00:00 UTC
DAY = 1_793_491_200
PATHS = {"completions": "/v1/organization/usage/completions", "embeddings": "/v1/organization/usage/embeddings"}


def used(caller: Caller, at: int, **changes: Any) -> UsageRecord:
    fields: dict[str, Any] = {
        "request_id": "req_1",
        "organization": caller.organization,
        "project": caller.project,
        "user": caller.user,
        "api_key_id": caller.key.pk if caller.key else None,
        "endpoint": "chat/completions",
        "model": "org/model",
        "state": State.COMPLETED,
        "prompt_tokens": 100,
        "completion_tokens": 10,
        "cached_tokens": 40,
        "accepted_at": datetime.datetime.fromtimestamp(at, datetime.UTC),
    }
    return UsageRecord.objects.create(**{**fields, **changes})


def report(caller: Caller, query: str, kind: str = "completions", **headers: str) -> Any:
    answer = caller.call("GET", f"{PATHS[kind]}?{query}", **headers)
    return answer.json() if answer.status_code == 200 else (answer.status_code, answer.json()["error"])


def sums(page: Any) -> list[list[int]]:
    """The requests of each result of each bucket."""
    return [[result["num_model_requests"] for result in bucket["results"]] for bucket in page["data"]]


def test_a_day_holds_its_requests_whatever_their_end(ada):
    for state in (State.COMPLETED, State.OPEN, State.UPSTREAM_ERROR):
        used(ada, DAY + 5, state=state)
    used(ada, DAY + 5, endpoint="completions")
    used(ada, DAY + 5, endpoint="embeddings")
    assert report(ada, f"start_time={DAY}&end_time={DAY + 86400}") == {
        "object": "page",
        "data": [
            {
                "object": "bucket",
                "start_time": DAY,
                "end_time": DAY + 86400,
                "results": [
                    {
                        "object": "organization.usage.completions.result",
                        "input_tokens": 400,
                        "output_tokens": 40,
                        "input_cached_tokens": 160,
                        "num_model_requests": 4,
                        "project_id": None,
                        "user_id": None,
                        "api_key_id": None,
                        "model": None,
                        "batch": None,
                        "service_tier": None,
                        "api_source": None,
                    }
                ],
            }
        ],
        "has_more": False,
        "next_page": None,
    }
    assert report(ada, f"start_time={DAY}&end_time={DAY + 86400}", "embeddings")["data"][0]["results"] == [
        {
            "object": "organization.usage.embeddings.result",
            "input_tokens": 100,
            "num_model_requests": 1,
            "project_id": None,
            "user_id": None,
            "api_key_id": None,
            "model": None,
        }
    ]


def test_buckets_are_the_clocks_and_the_empty_ones_are_there(ada):
    used(ada, DAY - 1)
    used(ada, DAY + 1799)
    used(ada, DAY + 1800)
    used(ada, DAY + 7199)
    used(ada, DAY + 10800)
    page = report(ada, f"start_time={DAY + 1800}&end_time={DAY + 10801}&bucket_width=1h")
    assert [(bucket["start_time"] - DAY, bucket["end_time"] - DAY) for bucket in page["data"]] == [
        (1800, 3600),
        (3600, 7200),
        (7200, 10800),
        (10800, 10801),
    ]
    assert sums(page) == [[1], [1], [], [1]]


@pytest.mark.parametrize(("width", "seconds", "most"), [("1m", 60, 60), ("1h", 3600, 24), ("1d", 86400, 7)])
def test_pages_go_on_where_the_last_one_ended(ada, width, seconds, most):
    for number in range(most + 2):
        used(ada, DAY + number * seconds + seconds - 1)
    asked = f"start_time={DAY + 1}&end_time={DAY + (most + 2) * seconds}&bucket_width={width}"
    first = report(ada, asked)
    assert (sums(first), first["has_more"]) == ([[1]] * most, True)
    second = report(ada, f"{asked}&page={first['next_page']}")
    assert (sums(second), second["has_more"], second["next_page"]) == ([[1]] * 2, False, None)
    assert second["data"][0]["start_time"] == first["data"][-1]["end_time"]


@pytest.mark.parametrize("spelling", ["group_by=model&group_by=api_key_id", "group_by[]=model&group_by[]=api_key_id",
                                      "group_by=model,api_key_id"])  # fmt: skip
def test_groups_have_public_ids_and_the_rest_is_null(ada, spelling):
    keyed = ada.with_key(kind=KeyKind.PROJECT)
    used(ada, DAY)
    used(keyed, DAY)
    used(keyed, DAY, model="other")
    results = report(ada, f"start_time={DAY}&end_time={DAY + 60}&bucket_width=1m&{spelling}")["data"][0]["results"]
    assert sorted((r["model"], r["api_key_id"] or "", r["num_model_requests"]) for r in results) == [
        ("org/model", "", 1),
        ("org/model", keyed.key.public_id, 1),
        ("other", keyed.key.public_id, 1),
    ]
    assert {(r["project_id"], r["user_id"]) for r in results} == {(None, None)}


def test_projects_and_users_are_named_and_what_is_gone_is_null(ada):
    used(ada, DAY)
    used(ada, DAY, project_id=10**9)
    asked = f"start_time={DAY}&end_time={DAY + 60}&group_by=project_id,user_id,batch,service_tier,api_source"
    results = report(ada, asked)["data"][0]["results"]
    assert sorted(((r["project_id"] or ""), r["user_id"]) for r in results) == [
        ("", ada.user.pk),
        (ada.project.public_id, ada.user.pk),
    ]
    assert {(r["batch"], r["service_tier"], r["api_source"]) for r in results} == {(False, "default", "unlabeled")}


def test_filters_keep_what_they_name(ada):
    keyed = ada.with_key(kind=KeyKind.PROJECT)
    other = Project.objects.create(organization=ada.organization, name="other")
    used(ada, DAY)
    used(keyed, DAY, model="b", user_id="sa_1")
    used(ada, DAY, project=other)
    for wanted, count in (
        (f"project_ids={ada.project.public_id}", [2]),
        (f"project_ids[]={ada.project.public_id}&project_ids[]={other.public_id}", [3]),
        (f"api_key_ids={keyed.key.public_id}", [1]),
        ("user_ids=sa_1", [1]),
        (f"user_ids={ada.user.pk}", [2]),
        ("models=b,none", [1]),
        ("models=none", []),
        ("project_ids=proj_none", []),
        ("batch=true", []),
        ("batch=false", [3]),
    ):
        assert sums(report(ada, f"start_time={DAY}&end_time={DAY + 60}&{wanted}")) == [count], wanted


def test_another_organizations_usage_is_never_counted(ada, eve):
    used(eve, DAY)
    for wanted in ("", f"&project_ids={eve.project.public_id}", f"&user_ids={eve.user.pk}"):
        assert sums(report(ada, f"start_time={DAY}&end_time={DAY + 60}{wanted}")) == [[]]
    path = f"/v1/organization/{eve.organization.public_id}/usage/completions?start_time={DAY}"
    assert ada.call("GET", path).status_code == 404
    assert eve.call("GET", path).status_code == 200


def test_a_report_costs_a_fixed_number_of_queries(ada, django_assert_num_queries):
    for number in range(50):
        used(ada.with_key(kind=KeyKind.PROJECT), DAY + number * 86400)
    query = QueryDict(
        f"start_time={DAY}&end_time={DAY + 50 * 86400}&limit=31&group_by=project_id,api_key_id,user_id,model"
    )
    asked = parameters.read(query, frozenset({"project_id", "api_key_id", "user_id", "model"}))
    page, organization = asked.span.first(asked.limit), ada.organization.pk
    with django_assert_num_queries(3):  # the sums, the projects, the keys
        found = usage_of(organization, ["chat/completions"], page, asked.group_by, asked.filters)
    assert sum(len(rows) for rows in found) == 31


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("", "start_time"),
        ("start_time=x", "start_time"),
        ("start_time=-1", "start_time"),
        ("start_time=99999999999999999999", "start_time"),
        ("start_time=٣", "start_time"),
        ("start_time=5&end_time=5", "end_time"),
        ("start_time=5&end_time=999999999999", "end_time"),
        ("start_time=5&bucket_width=2d", "bucket_width"),
        ("start_time=5&limit=0", "limit"),
        ("start_time=5&limit=32", "limit"),
        ("start_time=5&bucket_width=1h&limit=169", "limit"),
        ("start_time=5&bucket_width=1m&limit=1441", "limit"),
        ("start_time=5&page=nonsense", "page"),
        ("start_time=5&page=page_NQ", "page"),
        ("start_time=5&end_time=9&page=page_ODY0MDA", "page"),
        ("start_time=5&group_by=colour", "group_by"),
        ("start_time=5&models=a%00b", "models"),
        ("start_time=5&user_ids=", "user_ids"),
        ("start_time=5&batch=perhaps", "batch"),
        ("start_time=5&project_ids=" + ",".join(map(str, range(101))), "project_ids"),
    ],
)
def test_a_bad_parameter_is_named(ada, query, param):
    status, error = report(ada, query)
    assert (status, error["type"], error["param"]) == (400, "invalid_request_error", param)


def test_embeddings_have_no_batches_to_group_by(ada):
    assert report(ada, "start_time=5&group_by=batch", "embeddings")[1]["param"] == "group_by"


def test_the_end_of_time_is_a_time(ada):
    query = QueryDict(f"start_time={parameters.MAX_SECONDS - 1}&end_time={parameters.MAX_SECONDS}")
    assert parameters.read(query, frozenset()).span.buckets() == [(parameters.MAX_SECONDS - 1, parameters.MAX_SECONDS)]
    with pytest.raises(BadRequest):
        parameters.read(QueryDict(f"start_time={parameters.MAX_SECONDS}"), frozenset())


@pytest.fixture
def member(ada) -> Caller:
    """Somebody in Ada's organization with a place in the project "theirs" and, as everybody, in the default one."""
    caller = sign_up("member@example.com")
    membership = join(caller.user, ada.organization, Role.MEMBER)
    for name in ("theirs", "hidden"):
        Project.objects.create(organization=ada.organization, name=name)
    theirs = Project.objects.get(name="theirs")
    ProjectMembership.objects.create(
        organization=ada.organization, project=theirs, membership=membership, role=ProjectRole.VIEWER
    )
    return caller


def test_a_member_reads_the_usage_of_projects_it_is_in(ada, member):
    theirs, hidden = Project.objects.get(name="theirs"), Project.objects.get(name="hidden")
    for project in (theirs, hidden):
        used(ada, DAY, project=project)
    here = {"OpenAI_Organization": ada.organization.public_id}
    asked = f"start_time={DAY}&end_time={DAY + 60}"
    assert sums(report(member, f"{asked}&project_ids={theirs.public_id}", **here)) == [[1]]
    assert sums(report(member, asked, OpenAI_Project=theirs.public_id, **here)) == [[1]]
    refused = [
        report(member, asked + more, **here)
        for more in (
            "",
            f"&project_ids={hidden.public_id}",
            f"&project_ids={hidden.public_id},{theirs.public_id}",
            "&project_ids=proj_000000000000000000000000",
        )
    ]
    assert [(status, error["code"]) for status, error in refused] == [(403, "insufficient_permissions")] * 4
    assert refused[1] == refused[3]


def test_a_calling_key_is_told_which_kind_reads_usage(ada):
    status, error = report(ada.with_key(kind=KeyKind.PROJECT), f"start_time={DAY}")
    assert (status, error["code"]) == (403, "wrong_key_kind")
