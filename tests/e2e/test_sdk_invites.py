"""
The official SDK in strict mode, and the seeds' curl examples, over invites.

The seeds' role words win over OpenAI's, so strict reading is for the one word both have.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.server import OPERATOR, Server

pytestmark = pytest.mark.e2e
PAGE = 20
_names = itertools.count()

SETUP = f"""
from apps.accounts.models import User
from apps.api_keys.services import Holder, create_key
from apps.api_keys.tokens import KeyKind
from apps.projects.services import create_organization
user = User.objects.get(email={OPERATOR[0]!r})
place = create_organization(name="Acme Corp", owner=user)
place.domain = "acme.com"
place.save()
print(create_key(kind=KeyKind.ADMIN, name="sdk", place=place, holder=Holder(user))[1])
"""


@pytest.fixture
def admin_key(live: Server) -> str:
    """The admin key of an organization of the test's own."""
    made = live.manage("shell", "--no-imports", "-c", SETUP)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip().splitlines()[-1]


@pytest.fixture
def invites(live: Server, admin_key: str) -> Iterator[Any]:
    with OpenAI(
        base_url=f"{live.base_url}/v1",
        api_key="unused",
        admin_api_key=admin_key,
        max_retries=0,
        _strict_response_validation=True,
    ) as client:
        yield client.admin.organization.invites


def new_address() -> str:
    return f"invited-{next(_names)}@example.com"


def test_an_invites_life(invites: Any):
    email = new_address()
    made = invites.create(email=email, role="owner")
    assert (made.object, made.email, made.role, made.status) == ("organization.invite", email, "owner", "pending")
    assert (made.projects, made.accepted_at) == ([], None)
    assert made.expires_at - made.created_at == 7 * 86400
    assert invites.retrieve(made.id).to_dict() == {
        **{name: value for name, value in made.to_dict().items() if name != "invite_url"},
        "organization": {"name": "Acme Corp", "domain": "acme.com"},
    }
    assert [each.id for each in invites.list()] == [made.id]
    gone = invites.delete(made.id)
    assert (gone.id, gone.object, gone.deleted) == (made.id, "organization.invite.deleted", True)
    with pytest.raises(openai.NotFoundError) as missing:
        invites.retrieve(made.id)
    assert missing.value.code == "invite_not_found"
    with pytest.raises(openai.NotFoundError):
        invites.delete(made.id)
    assert list(invites.list()) == []


def test_openais_other_role_is_ours_for_reading(live: Server, admin_key: str):
    with OpenAI(base_url=f"{live.base_url}/v1", api_key="unused", admin_api_key=admin_key, max_retries=0) as client:
        made = client.admin.organization.invites.create(email=new_address(), role="reader")
        assert made.role == "viewer"


def test_what_is_taken_is_a_conflict_that_is_not_tried_again(live: Server, invites: Any):
    email = new_address()
    invites.create(email=email, role="owner")
    with pytest.raises(openai.ConflictError) as taken:
        invites.create(email=email.upper(), role="owner")
    assert taken.value.code == "already_invited"
    with pytest.raises(openai.ConflictError) as member:
        invites.create(email=OPERATOR[0], role="owner")
    assert member.value.code == "already_member"
    assert len(list(invites.list())) == 1


def test_three_pages_while_others_are_sent(live: Server, admin_key: str, invites: Any):
    made = [invites.create(email=new_address(), role="owner").id for _ in range(2 * PAGE + 5)]
    first = invites.list(limit=PAGE)
    done = threading.Event()

    def invite_on() -> None:
        while not done.is_set():
            live.call(
                "POST",
                "/v1/organization/invites",
                {"email": new_address(), "role": "owner"},
                authorization=f"Bearer {admin_key}",
            )

    others = [threading.Thread(target=invite_on) for _ in range(2)]
    for thread in others:
        thread.start()
    try:
        pages = [[each.id for each in page.data] for page in first.iter_pages()]
    finally:
        done.set()
        for thread in others:
            thread.join()
    assert [len(page) for page in pages] == [PAGE, PAGE, 5]
    assert [public_id for page in pages for public_id in page] == made[::-1]
    assert len(list(invites.list())) > len(made)


def curl(live: Server, *words: str) -> Any:
    done = subprocess.run(
        ["curl", "-sS", "--fail-with-body", *words[:-1], f"{live.base_url}{words[-1]}"],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return json.loads(done.stdout) if done.stdout else None


DOCUMENTED = {"id", "email", "role", "status", "created_at", "expires_at", "invited_by"}


def test_the_seeds_examples_answer_with_the_documented_keys(live: Server, admin_key: str):
    bearer = ("-H", f"Authorization: Bearer {admin_key}")
    body = {
        "email": "newuser@example.com",
        "role": "member",
        "expires_in_days": 7,
        "message": "Welcome to our organization!",
    }
    sent = ("-X", "POST", *bearer, "-H", "Content-Type: application/json", "-d", json.dumps(body))
    made = curl(live, *sent, "/v1/organization/invites")
    assert set(made) >= {*DOCUMENTED, "invite_url"}
    assert (made["email"], made["role"], made["status"], made["invited_by"]) == (
        "newuser@example.com",
        "member",
        "pending",
        OPERATOR[0],
    )
    listed = curl(live, *bearer, "/v1/organization/invites?status=pending")
    assert (listed["total"], listed["limit"], listed["offset"]) == (1, 20, 0)
    assert [set(each) >= DOCUMENTED for each in listed["invites"]] == [True]
    assert "invite_url" not in listed["invites"][0]
    iso = curl(live, *bearer, f"/v1/organization/invites/{made['id']}?timestamps=iso")
    assert set(iso) >= {*DOCUMENTED, "organization"}
    assert iso["organization"] == {"name": "Acme Corp", "domain": "acme.com"}
    assert iso["created_at"] == time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(made["created_at"]))
    # Without a credential, by the secret of the link.
    token = made["invite_url"].partition("token=")[2]
    offer = curl(live, f"/v1/organization/invites/{made['id']}?token={token}")
    assert set(offer) == DOCUMENTED - {"email", "created_at"} | {"object", "organization"}
    minimal = ("-X", "DELETE", *bearer, "-H", "Prefer: return=minimal", "-o", "/dev/null", "-w", "%{http_code}")
    assert curl(live, *minimal, f"/v1/organization/invites/{made['id']}") == 204
    assert curl(live, *bearer, "/v1/organization/invites")["total"] == 0
