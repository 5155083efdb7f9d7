"""Conversations in the admins: that they are there. What was said in them is opened with a reason."""

from __future__ import annotations

import datetime
import time
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.test import Client

from apps.accounts.models import User
from apps.audit.models import AuditEvent
from apps.console.openings import LIMIT
from apps.console.tenant.lists import LISTS
from apps.console.tenant.lists import site as owners_site
from apps.conversations.content import NewItem
from apps.conversations.models import Branch, ChatProject, Conversation, Item
from apps.conversations.services import write_items
from tests.console.conftest import SIGN_IN, prove
from tests.console.test_admin import address, fill, spoken

REASON = "Ticket 17: the customer asks why it stopped."
LISTED = ("conversations.Conversation", "conversations.ChatProject")


def content_of(conversation: Conversation) -> str:
    return f"/admin/conversations/conversation/{conversation.pk}/content/"


def events() -> list[tuple[Any, ...]]:
    """What the log says of conversations and chat projects."""
    found = AuditEvent.objects.filter(target_kind__in=["conversation", "chat_project"]).order_by("pk")
    names = ("action", "organization", "project", "actor_kind", "actor_id", "target_kind", "target_id", "details")
    return list(found.values_list(*names))


def event(action: str, row: Any, operator: User, kind: str = "conversation", **details: Any) -> tuple[Any, ...]:
    whose = row.organization.public_id, row.project.public_id
    return (action, *whose, "user", operator.pk, kind, row.public_id, details)


def owner_of(row: Any) -> Client:
    """A browser of the user whose row it is, who owns its organization."""
    client = Client()
    client.force_login(row.user, backend=SIGN_IN)
    return client


@pytest.fixture
def said(admin_client: Client) -> Conversation:
    found: Conversation = fill(1)["conversations.Conversation"]
    return found


def test_it_opens_with_a_reason_which_is_in_the_log(admin_client: Client, operator: User, said: Conversation):
    asking = admin_client.get(content_of(said))
    assert (asking.status_code, b"private-" in asking.content, events()) == (200, False, [])
    opening = admin_client.post(content_of(said), {"reason": REASON})
    assert (opening.status_code, opening["Location"]) == (302, content_of(said))
    page = admin_client.get(content_of(said))
    assert page.status_code == 200
    assert "no-store" in page["Cache-Control"]
    for word in ("private-title", "private-word a", "private-word b"):
        assert word in page.content.decode()
    assert events() == [event("conversation.opened", said, operator, reason=REASON)]


def test_reading_on_is_no_other_opening(admin_client: Client, said: Conversation):
    admin_client.post(content_of(said), {"reason": REASON})
    for _ in range(3):
        admin_client.get(content_of(said))
    assert len(events()) == 1


@pytest.mark.parametrize("reason", ["", "too short", "x" * 501, "a\x00bcdefghijklm", " " * 40])
def test_it_needs_a_reason_of_some_words(admin_client: Client, said: Conversation, reason: str):
    answer = admin_client.post(content_of(said), {"reason": reason})
    assert (answer.status_code, list(answer.context["form"].errors)) == (200, ["reason"])
    assert b"private-" not in admin_client.get(content_of(said)).content
    assert events() == []


def staff_with(*codenames: str) -> Client:
    user = User.objects.create_user("staff@example.com", "correct-horse-9", is_staff=True)
    role = Group.objects.create(name="support")
    role.permissions.set(Permission.objects.filter(codename__in=codenames))
    user.groups.add(role)
    client = Client()
    client.force_login(user, backend=SIGN_IN)
    prove(client, user)
    return client


@pytest.mark.parametrize(
    "codenames",
    [
        (),
        ("open_content",),
        ("view_conversation",),
        ("view_conversation", "change_conversation", "delete_conversation"),
    ],
)
def test_without_the_permission_nobody_opens_anything(db: None, codenames: tuple[str, ...]):
    conversation, client = fill(1)["conversations.Conversation"], staff_with(*codenames)
    for url in (content_of(conversation), "/admin/conversations/conversation/99999999/content/"):
        for answer in (client.get(url), client.post(url, {"reason": REASON})):
            assert (answer.status_code, b"private-" in answer.content) == (403, False)
    assert events() == []


def test_staff_with_the_permission_opens_it_and_loses_it_at_once(db: None):
    conversation, client = fill(1)["conversations.Conversation"], staff_with("view_conversation", "open_content")
    client.post(content_of(conversation), {"reason": REASON})
    assert b"private-word a" in client.get(content_of(conversation)).content
    Group.objects.get(name="support").permissions.filter(codename="open_content").delete()
    assert client.get(content_of(conversation)).status_code == 403


def test_who_it_is_is_asked_first(operator: User):
    conversation, client = fill(1)["conversations.Conversation"], Client()
    client.force_login(operator, backend=SIGN_IN)
    prove(client, operator, seconds_ago=301)
    asked = "/accounts/reauthenticate/?next=%2Fadmin%2Fconversations%2F"
    assert client.get(content_of(conversation))["Location"].startswith(asked)
    assert client.post(content_of(conversation), {"reason": REASON})["Location"].startswith(asked)
    assert events() == []
    proof = {"password": "correct-horse-9", "next": content_of(conversation)}
    assert client.post("/accounts/reauthenticate/", proof)["Location"] == content_of(conversation)
    assert events() == [event("conversation.opened", conversation, operator, reason=REASON)]


def test_an_opening_is_for_one_conversation_and_one_session(admin_client: Client, operator: User, said: Conversation):
    other = fill(2)["conversations.Conversation"]
    admin_client.post(content_of(said), {"reason": REASON})
    elsewhere = Client()
    elsewhere.force_login(operator, backend=SIGN_IN)
    prove(elsewhere, operator)
    for client, conversation in ((admin_client, other), (elsewhere, said)):
        answer = client.get(content_of(conversation))
        assert (b"private-" in answer.content, "form" in answer.context) == (False, True)
    assert [each[0] for each in events()] == ["conversation.opened"]


@pytest.mark.parametrize(("seconds_left", "is_open"), [(-1, False), (60, True)])
def test_it_closes_after_a_quarter_of_an_hour(
    admin_client: Client, said: Conversation, seconds_left: int, is_open: bool
):
    assert datetime.timedelta(minutes=15) == LIMIT
    admin_client.post(content_of(said), {"reason": REASON})
    session = admin_client.session
    opened = {
        name: [who, time.time() - 900 + seconds_left] for name, (who, _) in session["opened_conversations"].items()
    }
    session["opened_conversations"] = opened
    session.save()
    assert (b"private-word a" in admin_client.get(content_of(said)).content) is is_open


def test_what_was_said_is_text_and_nothing_else(admin_client: Client, said: Conversation):
    call = {"call_id": "c", "name": "run", "arguments": "<img src=x onerror=alert(2)>"}
    items = [
        NewItem(type="message", role="user", data=spoken("<script>alert(1)</script>")),
        NewItem(type="function_call", data=call),
    ]
    write_items(Conversation.objects.with_branch().get(pk=said.pk), items)
    admin_client.post(content_of(said), {"reason": REASON})
    page = admin_client.get(content_of(said)).content.decode()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "&lt;img src=x onerror=alert(2)&gt;" in page
    assert "<script>alert(1)" not in page
    assert "<img src=x" not in page


def test_fifty_items_make_a_page(admin_client: Client, said: Conversation):
    items = [NewItem(type="message", role="user", data=spoken(f"word {number}")) for number in range(3, 121)]
    write_items(Conversation.objects.with_branch().get(pk=said.pk), items)
    admin_client.post(content_of(said), {"reason": REASON})

    def numbers(**query: Any) -> tuple[int, int, int | None, int | None]:
        context = admin_client.get(content_of(said), query).context
        found = [shown.item.sequence for shown in context["items"]]
        assert found == list(range(found[0], found[-1] + 1))
        return found[0], found[-1], context["earlier"], context["later"]

    assert numbers() == (1, 50, None, 50)
    assert numbers(after=50) == (51, 100, 51, 100)
    assert numbers(after=100) == (101, 120, 101, None)
    assert numbers(before=101) == (51, 100, 51, 100)
    assert numbers(before=51) == (1, 50, None, 50)
    assert numbers(after="x", before="9" * 30, branch="-1") == (1, 50, None, 50)


def test_every_branch_can_be_read(admin_client: Client, said: Conversation):
    main = said.branch
    side = Branch.objects.create(
        organization=said.organization, conversation=said, name="side", parent=main, fork_sequence=1, last_sequence=1
    )
    foreign = fill(2)["conversations.Conversation"].branch
    admin_client.post(content_of(said), {"reason": REASON})
    for branch, words in ((main, 2), (side, 1), (foreign, 2)):
        shown = admin_client.get(content_of(said), {"branch": branch.pk}).context["items"]
        assert {each.item.conversation_id for each in shown} == {said.pk}
        assert len(shown) == words


@pytest.mark.parametrize("label", LISTED)
def test_no_other_page_and_no_file_says_a_word(admin_client: Client, said: Conversation, label: str):
    row = said if label == LISTED[0] else said.chat_project
    admin_client.post(content_of(said), {"reason": REASON})
    pages = [address(label, "changelist"), address(label, "change", row.pk), address(label, "history", row.pk)]
    pages += [address(label, "export", kind) for kind in ("csv", "json")]
    pages += [f"{address(label, 'changelist')}?q={row.public_id}", "/admin/"]
    pages += [f"/admin/organizations/organization/{said.organization_id}/change/"]
    pages += [f"/admin/{label.lower().replace('.', '/')}/{row.pk}/{what}/" for what in ("archive", "remove")]
    for url in pages:
        answer = admin_client.get(url, follow=True)
        assert (url, answer.status_code, b"private-" in answer.content) == (url, 200, False)


def test_a_file_has_whose_they_are_and_how_long(admin_client: Client, said: Conversation):
    files = [admin_client.get(address(label, "export", "json")).json() for label in LISTED]
    assert said.chat_project is not None
    whose = {
        "user": said.user_id,
        "email": "user1@example.com",
        "organization": said.organization.public_id,
        "project": said.project.public_id,
    }
    inside = {"chat_project": said.chat_project.public_id, "model": "", "items": 2, "archived_at": ""}
    expected = [{"id": said.public_id, **whose, **inside}]
    folder = {"conversations": 1, "is_favorite": False, "archived_at": "", "deleted_at": ""}
    for (row,), known in zip(files, (expected[0], {"id": said.chat_project.public_id, **whose, **folder}), strict=True):
        assert set(row) == {*known, "created_at", "updated_at"}
        assert {name: row[name] for name in known} == known


@pytest.mark.parametrize("term", ["private-title", "private-word", "private-name"])
def test_nothing_is_found_by_its_words(admin_client: Client, said: Conversation, term: str):
    for label in LISTED:
        assert list(admin_client.get(address(label, "changelist"), {"q": term}).context["cl"].result_list) == []


def test_a_page_counts_what_is_in_a_conversation(admin_client: Client, said: Conversation):
    Item.objects.filter(conversation=said).update(tokens=7)
    page = admin_client.get(address(LISTED[0], "change", said.pk)).content.decode()
    assert 'readonly">14<' in "".join(page.split()) or ">14<" in "".join(page.split())


@pytest.mark.parametrize(
    ("query", "finds"),
    [
        ({"archived": "yes"}, False),
        ({"archived": "no"}, True),
        ({"organization__id__exact": "own"}, True),
        ({"organization__id__exact": "other"}, False),
        ({"project__id__exact": "own"}, True),
        ({"created_at_from": "2020-01-01", "created_at_to": "2020-12-31"}, False),
    ],
)
@pytest.mark.parametrize("label", LISTED)
def test_lists_are_narrowed_down(admin_client: Client, said: Conversation, label: str, query: Any, finds: bool):
    row: Any = said if label == LISTED[0] else said.chat_project
    other = fill(2)[label]
    own = {"organization__id__exact": row.organization_id, "project__id__exact": row.project_id}
    foreign = {"organization__id__exact": other.organization_id}
    ids = {"own": own, "other": foreign}
    asked = {name: ids[value][name] if value in ids else value for name, value in query.items()}
    answer = admin_client.get(address(label, "changelist"), asked)
    assert (row in answer.context["cl"].result_list) is finds


@pytest.mark.parametrize("value", ["owner", "9" * 40, "-1", "a\x00b"])
def test_odd_filters_show_nothing_or_everything(admin_client: Client, said: Conversation, value: str):
    for name in ("organization__id__exact", "project__id__exact", "archived"):
        assert admin_client.get(address(LISTED[0], "changelist"), {name: value}, follow=True).status_code == 200


def test_rows_of_a_list_are_archived_and_deleted_by_the_services(
    admin_client: Client, operator: User, said: Conversation
):
    chat_project, organization = said.chat_project, said.organization
    assert chat_project is not None
    for label, row in ((LISTED[0], said), (LISTED[1], chat_project)):
        for action in ("archive", "archive", "unarchive", "remove"):
            posted = {"action": action, "_selected_action": [row.pk], "confirmed": "yes"}
            assert admin_client.post(address(label, "changelist"), posted).status_code == 302
    assert not Conversation.objects.in_organization(organization.pk).exists()
    assert not Item.objects.in_organization(organization.pk).exists()
    assert ChatProject.objects.get(pk=chat_project.pk).deleted_at is not None
    done = ("archived", "unarchived", "deleted")
    assert events() == [
        *(event(f"conversation.{what}", said, operator) for what in done),
        *(event(f"chat_project.{what}", chat_project, operator, "chat_project") for what in done),
    ]


def test_deleting_asks_first(admin_client: Client, said: Conversation):
    answer = admin_client.post(address(LISTED[0], "changelist"), {"action": "remove", "_selected_action": [said.pk]})
    assert (answer.status_code, answer.context["button"]) == (200, "Remove")
    assert (Conversation.objects.filter(pk=said.pk).exists(), events()) == (True, [])


@pytest.mark.parametrize("what", ["archive", "unarchive", "remove"])
def test_who_may_only_look_changes_nothing(db: None, what: str):
    rows = fill(1)
    client = staff_with("view_conversation", "view_chatproject")
    for label in LISTED:
        url = f"/admin/{label.lower().replace('.', '/')}/{rows[label].pk}/{what}/"
        assert client.post(url, {"confirmed": "yes"}).status_code == 403
        assert client.get(address(label, "changelist")).status_code == 200
    assert (Conversation.objects.get(archived_at=None).pk, events()) == (rows[LISTED[0]].pk, [])


# --- Owners -------------------------------------------------------------------------------------


def own(label: str, page: str = "changelist", *args: Any) -> str:
    return address(label, page, *args).replace("/admin/", "/organization/", 1)


def test_owners_see_that_there_are_conversations_and_not_a_word(said: Conversation):
    foreign = fill(2)[LISTED[0]]
    client = owner_of(said)
    for label, row in ((LISTED[0], said), (LISTED[1], said.chat_project)):
        shown = client.get(own(label))
        assert list(shown.context["cl"].result_list) == [row]
        urls = [own(label, "change", row.pk), own(label, "history", row.pk), own(label, "export", "csv")]
        for answer in (shown, *(client.get(url) for url in urls)):
            assert (answer.status_code, b"private-" in answer.content) == (200, False)
    assert client.get(own(LISTED[0], "change", foreign.pk)).status_code == 404


def test_owners_do_nothing_to_them_and_open_nothing(said: Conversation):
    client = owner_of(said)
    for what in ("content", "archive", "remove"):
        # No page of this site: an address of Django's that leads to a row that never was.
        answer = client.post(f"{own(LISTED[0])}{said.pk}/{what}/", {"reason": REASON, "confirmed": "yes"}, follow=True)
        assert (answer.status_code, b"private-" in answer.content) == (404, False)
    for model in (Conversation, ChatProject):
        listed = owners_site.get_model_admin(model)
        assert (model in LISTS, tuple(listed.actions), tuple(listed.actions_detail)) == (True, (), ())
    assert (Conversation.objects.get(pk=said.pk).archived_at, events()) == (None, [])


def test_owners_are_told_who_opened_what_and_why(admin_client: Client, operator: User, said: Conversation):
    client = owner_of(said)
    pages = [own(LISTED[0]), own(LISTED[0], "change", said.pk), "/organization/"]
    assert not [url for url in pages if b"opened the content" in client.get(url, follow=True).content]
    admin_client.post(content_of(said), {"reason": REASON})
    for url in pages:
        page = client.get(url, follow=True)
        assert page.context["openings"] == 1
        assert "opened the content of your organization's conversations once" in " ".join(page.content.decode().split())
    log = client.get(page.context["openings_url"])
    found = [(each.actor_label, each.target_id, each.details) for each in log.context["cl"].result_list]
    assert found == [("op@example.com", said.public_id, {"reason": REASON})]


def test_other_organizations_are_told_nothing(admin_client: Client, said: Conversation):
    admin_client.post(content_of(said), {"reason": REASON})
    stranger = owner_of(fill(2)[LISTED[0]])
    assert stranger.get(own(LISTED[0])).context["openings"] == 0
