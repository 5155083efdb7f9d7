"""The curl examples of seeds/000 about projects, as printed, answered by a running server."""

from __future__ import annotations

import pytest

from tests.api_keys.conftest import Curl, curl
from tests.server import Server

__all__ = ["curl"]

pytestmark = pytest.mark.e2e

CREATE = """curl -X POST -H "Authorization: Bearer <token>" \\
 -H "Content-Type: application/json" \\
 -d '{
 "name": "Marketing Campaign",
 "instruction": "You are a marketing expert."
 }' \\
 http://localhost:8000/v1/projects"""
LIST = """curl -H "Authorization: Bearer <token>" \\
 http://localhost:8000/v1/projects"""
GET = """curl -H "Authorization: Bearer <token>" \\
 http://localhost:8000/v1/projects/proj_123"""
PATCH = """curl -X PATCH -H "Authorization: Bearer <token>" \\
 -H "Content-Type: application/json" \\
 -d '{
 "name": "Updated Project Name",
 "instruction": "New instruction text",
 "archived": false
 }' \\
 http://localhost:8000/v1/projects/proj_123"""
DELETE = """curl -X DELETE -H "Authorization: Bearer <token>" \\
 http://localhost:8000/v1/projects/proj_123"""


def test_a_project_is_made_listed_read_changed_and_deleted(live: Server, curl: Curl):
    token = live.guest_token()
    made = curl(CREATE, token=token)
    project = made.json()
    assert (made.status_code, project["object"], project["name"], project["instruction"]) == (
        201, "project", "Marketing Campaign", "You are a marketing expert.",
    )  # fmt: skip
    listed = curl(LIST, token=token)
    assert (listed.status_code, listed.json()["data"], listed.json()["has_more"]) == (200, [project], False)

    def one(command: str):
        return curl(command.replace("proj_123", project["id"]), token=token)

    assert one(GET).json() == project
    changed = one(PATCH).json()
    assert changed == {
        **project, "name": "Updated Project Name", "instruction": "New instruction text",
        "updated_at": changed["updated_at"],
    }  # fmt: skip
    gone = one(DELETE)
    assert (gone.status_code, gone.json()) == (200, {"id": project["id"], "object": "project.deleted", "deleted": True})
    assert one(GET).status_code == 404
    assert curl(LIST, token=token).json()["data"] == []
