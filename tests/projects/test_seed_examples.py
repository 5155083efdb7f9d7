"""Each curl example of the seeds about projects, as printed, answered by a running server with the documented keys."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api_keys.conftest import Curl, curl
from tests.api_keys.test_seed_examples import answered
from tests.e2e.test_sdk_projects import admin_key

__all__ = ["admin_key", "curl"]

pytestmark = pytest.mark.e2e

BRIEF = {
    "id", "public_id", "name", "description", "status", "created_at", "updated_at", "created_by",
}  # fmt: skip
DOCUMENTED = {*BRIEF, "settings"}
CREATE = """curl -X POST http://localhost:8080/v1/organization/projects \\
-H "Authorization: Bearer <admin_token>" \\
-H "Content-Type: application/json" \\
-d '{
"name": "New AI Project",
"description": "Description of the new project",
"settings": {
"default_model": "jan-v1-4b"
}
}'"""


@pytest.fixture
def project(curl: Curl, admin_key: str) -> Any:
    return answered(curl(CREATE, admin_token=admin_key), 200, DOCUMENTED)


def test_create(project: Any):
    assert project["settings"] == {"default_model": "jan-v1-4b"}
    assert project["id"] == project["public_id"]
    assert project["id"].startswith("proj_")
    assert (project["name"], project["description"]) == ("New AI Project", "Description of the new project")
    assert (project["status"], project["created_by"]) == ("active", "operator@example.com")


def test_list(curl: Curl, admin_key: str, project: Any):
    command = """curl -H "Authorization: Bearer <admin_token>" \\
"http://localhost:8080/v1/organization/projects?status=active\""""
    page = answered(curl(command, admin_token=admin_key), 200, {"projects", "total", "limit", "offset"})
    assert (page["limit"], page["offset"]) == (20, 0)
    assert set(page["projects"][0]) >= BRIEF
    assert page["projects"][0]["id"] == project["id"]
    paged = command.replace("status=active", "limit=1&offset=1")
    page = answered(curl(paged, admin_token=admin_key), 200, {"projects", "total", "limit", "offset"})
    assert (page["limit"], page["offset"], len(page["projects"])) == (1, 1, 1)


def test_get(curl: Curl, admin_key: str, project: Any):
    command = """curl -H "Authorization: Bearer <admin_token>" \\
http://localhost:8080/v1/organization/projects/<project_id>"""
    found = answered(curl(command, admin_token=admin_key, project_id=project["id"]), 200, DOCUMENTED)
    assert found == project
    iso = curl(command + "?timestamps=iso", admin_token=admin_key, project_id=project["id"]).json()
    assert iso["created_at"].endswith("Z")


def test_update(curl: Curl, admin_key: str, project: Any):
    command = """curl -X POST http://localhost:8080/v1/organization/projects/<project_id> \\
-H "Authorization: Bearer <admin_token>" \\
-H "Content-Type: application/json" \\
-d '{
"name": "Updated Project Name",
"description": "Updated description"
}'"""
    changed = answered(curl(command, admin_token=admin_key, project_id=project["id"]), 200, DOCUMENTED)
    assert (changed["name"], changed["description"]) == ("Updated Project Name", "Updated description")
    assert changed["settings"] == {"default_model": "jan-v1-4b"}


def test_archive(curl: Curl, admin_key: str, project: Any):
    command = """curl -X POST http://localhost:8080/v1/organization/projects/<project_id>/archive \\
-H "Authorization: Bearer <admin_token>\""""
    archived = answered(curl(command, admin_token=admin_key, project_id=project["id"]), 200, BRIEF)
    assert archived["status"] == "archived"


def test_the_second_reference_names_the_organization_in_the_path(curl: Curl, admin_key: str):
    me = curl('curl -H "Authorization: Bearer <key>" http://localhost:8080/v1/auth/me', key=admin_key)
    words = {"admin_token": admin_key, "org_id": me.headers["openai-organization"]}
    create = """curl -X POST http://localhost:8080/v1/organization/<org_id>/projects \\
-H "Authorization: Bearer <admin_token>" \\
-H "Content-Type: application/json" \\
-d '{
"name": "My Project",
"description": "A sample project"
}'"""
    made = answered(curl(create, **words), 200, DOCUMENTED)
    base = (
        'curl -X {} -H "Authorization: Bearer <admin_token>" http://localhost:8080/v1/organization/<org_id>/projects{}'
    )
    page = answered(curl(base.format("GET", ""), **words), 200, {"projects"})
    assert page["projects"][0] == made
    one = f"/{made['id']}"
    assert answered(curl(base.format("GET", one), **words), 200, DOCUMENTED) == made
    patch = base.format("PATCH", one) + """ -H "Content-Type: application/json" -d '{"name": "Mine"}'"""
    assert answered(curl(patch, **words), 200, DOCUMENTED)["name"] == "Mine"
    assert answered(curl(base.format("POST", one + "/archive"), **words), 200, BRIEF)["status"] == "archived"
    gone = answered(curl(base.format("DELETE", one), **words), 200, {"id", "object", "deleted"})
    assert gone == {"id": made["id"], "object": "organization.project.deleted", "deleted": True}
    assert curl(base.format("GET", one), **words).status_code == 404
