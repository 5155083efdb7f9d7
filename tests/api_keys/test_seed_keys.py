"""Each curl example of the seeds about keys, as printed, answered by a running server with the documented keys."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest

from tests.api_keys.conftest import Curl
from tests.server import Server

pytestmark = pytest.mark.e2e
SHOWN = {"id", "name", "created_at", "last_used", "permissions", "is_active"}
MADE = {"id", "name", "key", "created_at", "expires_at", "is_active"}
PAGE = {"api_keys", "total", "limit", "offset"}
SCRIPT = """
import json
from tests.api_keys.conftest import sign_up
ada = sign_up("seeds@example.com")
ada.user.emailaddress_set.create(email=ada.user.email, verified=True, primary=True)
from apps.api_keys.tokens import KeyKind
admin = ada.with_key(kind=KeyKind.ADMIN)
print(json.dumps([admin.secret, ada.secret, ada.organization.public_id, ada.project.public_id]))
"""


@pytest.fixture(scope="module")
def words(live: Server) -> dict[str, str]:
    """What the examples leave to the reader: an admin key, a token, an organization and its project."""
    made = live.manage("shell", "--no-imports", "-c", SCRIPT)
    assert made.returncode == 0, made.stderr
    names = ("admin_token", "token", "org_id", "project")
    return dict(zip(names, json.loads(made.stdout.strip().splitlines()[-1]), strict=True))


@pytest.fixture(params=["", "org"], ids=["own", "named"])
def run(request: pytest.FixtureRequest, curl: Curl, words: dict[str, str]) -> Any:
    """Do a curl command, once as printed and once with the organization in its path."""

    def do(command: str, **more: str) -> httpx2.Response:
        if request.param:
            command = command.replace("/v1/organization/", f"/v1/organization/{words['org_id']}/")
        command = command.replace("proj_abc123", words["project"])
        for name, value in more.items():
            command = command.replace(name, value)
        return curl(command, **words)

    return do


def answered(answer: httpx2.Response, keys: set[str]) -> Any:
    assert answer.status_code == 200, answer.text
    document = answer.json()
    assert keys <= set(document)
    return document


def test_admin_api_keys(run: Any):
    listed = answered(
        run(
            'curl -H "Authorization: Bearer <admin_token>" \\\n'
            '"http://localhost:8080/v1/organization/admin_api_keys?limit=10"'
        ),
        PAGE,
    )
    assert (listed["limit"], listed["offset"]) == (10, 0)
    assert set(listed["api_keys"][0]) >= SHOWN
    made = answered(
        run(
            """curl -X POST http://localhost:8080/v1/organization/admin_api_keys \\
-H "Authorization: Bearer <admin_token>" \\
-H "Content-Type: application/json" \\
-d '{
"name": "Development Admin Key",
"permissions": ["admin", "read", "write"]
}'"""
        ),
        MADE | {"permissions"},
    )
    assert (made["name"], set(made["permissions"]), made["key"].startswith("jan_ak_")) == (
        "Development Admin Key", {"admin", "read", "write"}, True,
    )  # fmt: skip
    read = answered(
        run(
            'curl -H "Authorization: Bearer <admin_token>" \\\n'
            "http://localhost:8080/v1/organization/admin_api_keys/ak_123",
            ak_123=made["id"],
        ),
        SHOWN | {"expires_at"},
    )
    assert read["id"] == made["id"]
    deleted = run(
        "curl -X DELETE http://localhost:8080/v1/organization/admin_api_keys/ak_123 \\\n"
        '-H "Authorization: Bearer <admin_token>"',
        ak_123=made["id"],
    )
    assert answered(deleted, {"id", "object", "deleted"})["deleted"] is True


def test_project_api_keys(run: Any):
    made = answered(
        run(
            """curl -X POST http://localhost:8080/v1/organization/projects/proj_abc123/api_keys \\
-H "Authorization: Bearer <admin_token>" \\
-H "Content-Type: application/json" \\
-d '{
"name": "Development API Key",
"expires_at": "2034-12-31T23:59:59Z"
}'"""
        ),
        MADE,
    )
    assert (made["key"].startswith("jan_pk_"), made["is_active"], made["expires_at"]) == (True, True, 2051222399)
    listed = answered(
        run(
            'curl -H "Authorization: Bearer <admin_token>" \\\n'
            "http://localhost:8080/v1/organization/projects/proj_abc123/api_keys"
        ),
        {"api_keys", "total"},
    )
    [row] = [row for row in listed["api_keys"] if row["id"] == made["id"]]
    assert {"id", "name", "created_at", "last_used", "is_active"} <= set(row)
    deleted = run(
        "curl -X DELETE http://localhost:8080/v1/organization/projects/proj_abc123/api_keys/pk_1 "
        '-H "Authorization: Bearer <admin_token>"',
        pk_1=made["id"],
    )
    assert answered(deleted, {"id"})["id"] == made["id"]


def test_an_organizations_api_keys(curl: Curl, words: dict[str, str]):
    """As the second API reference has it, with a person's token and the organization in the path."""
    command = """curl -X POST http://localhost:8080/v1/organization/{org_id}/api_keys \\
-H "Content-Type: application/json" \\
-H "Authorization: Bearer <token>" \\
-d '{
"name": "My API Key",
"description": "API key for external integrations"
}'""".replace("{org_id}", words["org_id"])
    made = answered(curl(command, **words), MADE)
    assert (made["key"].startswith("jan_ok_"), made["description"]) == (True, "API key for external integrations")
    path = f"http://localhost:8080/v1/organization/{words['org_id']}/api_keys"
    listed = answered(curl(f'curl -H "Authorization: Bearer <token>" {path}', **words), PAGE)
    assert [row["id"] for row in listed["api_keys"]] == [made["id"]]
    gone = curl(f'curl -X DELETE {path}/{made["id"]} -H "Authorization: Bearer <token>"', **words)
    assert answered(gone, {"id"})["id"] == made["id"]
