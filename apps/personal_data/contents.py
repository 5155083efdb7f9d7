"""What an export holds: one file for each kind of thing a person owns, one JSON object a line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount

from apps.accounts.models import User
from apps.api_keys.models import ApiKey
from apps.completions.models import StoredCompletion
from apps.completions.views import completion_document
from apps.conversations.chat_project_serializers import chat_project_document
from apps.conversations.documents import conversation_document, item_document
from apps.conversations.models import ChatProject, Conversation, ConversationQuerySet, Item
from apps.core.http.moments import asking, iso
from apps.organizations.models import Membership, Organization
from apps.projects.models import Project, ProjectMembership
from apps.shares.models import Share
from apps.usage.models import UsageRecord
from apps.user_settings.services import settings_of

Document = dict[str, Any]
# Rows in memory at once. Some hold a megabyte.
_AT_ONCE = 100
_IN_ISO = asking("timestamps=iso")


def _profile(user: User) -> Iterator[Document]:
    addresses = EmailAddress.objects.filter(user=user).order_by("pk")
    accounts = SocialAccount.objects.filter(user=user).order_by("pk")
    yield {
        "id": user.pk,
        "object": "user",
        "email": user.email,
        "username": user.username,
        "name": user.name,
        "picture": user.picture,
        "is_guest": user.is_guest,
        "created_at": iso(user.created_at),
        "last_seen_at": iso(user.last_seen_at),
        "email_addresses": [{"email": each.email, "verified": each.verified} for each in addresses],
        "connected_accounts": [{"provider": each.provider, "uid": each.uid} for each in accounts],
    }


def _settings(user: User) -> Iterator[Document]:
    yield {"object": "user_settings", **msgspec.to_builtins(settings_of(user.pk))}


def _organizations(user: User) -> Iterator[Document]:
    for membership in Membership.objects.of(user.pk):
        places = ProjectMembership.objects.in_organization(membership.organization_id).filter(membership=membership)
        yield {
            "id": membership.organization.public_id,
            "object": "organization",
            "name": membership.organization.name,
            "is_personal": membership.organization.is_personal,
            "role": membership.role,
            "joined_at": iso(membership.created_at),
            "projects": [
                {"id": place.project.public_id, "name": place.project.name, "role": place.role}
                for place in places.select_related("project").order_by("pk")
            ],
        }


def _keys(user: User) -> Iterator[Document]:
    keys = ApiKey.objects.filter(user=user, service_account=None).select_related("organization", "project")
    for key in keys.order_by("pk").iterator(_AT_ONCE):
        yield {
            "id": key.public_id,
            "object": "api_key",
            "kind": key.kind,
            "name": key.name,
            "description": key.description,
            "redacted_value": key.redacted_value,
            "scopes": key.scopes,
            "status": key.status,
            "organization_id": key.organization.public_id,
            "project_id": key.project.public_id if key.project else None,
            "created_at": iso(key.created_at),
            "expires_at": iso(key.expires_at),
            "last_used_at": iso(key.last_used_at),
        }


def _conversations_of(user: User) -> ConversationQuerySet:
    return Conversation.objects.of_owner(user.pk).with_branch().order_by("pk")


def _conversations(user: User) -> Iterator[Document]:
    for conversation in _conversations_of(user).iterator(_AT_ONCE):
        yield conversation_document(_IN_ISO, conversation)


def _items(user: User) -> Iterator[Document]:
    for conversation in _conversations_of(user).iterator(_AT_ONCE):
        items = Item.objects.filter(conversation=conversation).select_related("branch")
        for item in items.order_by("branch", "sequence").iterator(_AT_ONCE):
            yield {**item_document(_IN_ISO, conversation, item), "branch": item.branch.name}


def _chat_projects(user: User) -> Iterator[Document]:
    for chat_project in ChatProject.objects.of_owner(user.pk).present().order_by("pk").iterator(_AT_ONCE):
        yield chat_project_document(_IN_ISO, chat_project)


def _completions(user: User) -> Iterator[Document]:
    for completion in StoredCompletion.objects.of_owner(user.pk).order_by("pk").iterator(_AT_ONCE):
        yield {**completion_document(_IN_ISO, completion), "messages": completion.messages}


def _shares(user: User) -> Iterator[Document]:
    shares = Share.objects.of_owner(user.pk).select_related("conversation")
    for share in shares.order_by("pk").iterator(_AT_ONCE):
        yield {
            "id": share.public_id,
            "object": "conversation.share",
            "conversation_id": share.conversation.public_id,
            "title": share.title,
            "items": share.snapshot,
            "view_count": share.view_count,
            "created_at": iso(share.created_at),
            "expires_at": iso(share.expires_at),
            "revoked_at": iso(share.revoked_at),
        }


def _usage(user: User) -> Iterator[Document]:
    records = UsageRecord.objects.filter(user_id=user.pk)
    # Rows outlive where they were made.
    organizations = dict(
        Organization.objects.filter(pk__in=records.values("organization")).values_list("pk", "public_id")
    )
    projects = dict(Project.objects.filter(pk__in=records.values("project")).values_list("pk", "public_id"))
    for record in records.order_by("pk").iterator(_AT_ONCE):
        yield {
            "id": record.public_id,
            "object": "usage",
            "request_id": record.request_id,
            "organization_id": organizations.get(record.organization_id),
            "project_id": projects.get(record.project_id),
            "endpoint": record.endpoint,
            "model": record.model,
            "state": record.state,
            "prompt_tokens": record.prompt_tokens,
            "completion_tokens": record.completion_tokens,
            "accepted_at": iso(record.accepted_at),
        }


SECTIONS: dict[str, Callable[[User], Iterator[Document]]] = {
    "profile": _profile,
    "settings": _settings,
    "organizations": _organizations,
    "api_keys": _keys,
    "conversations": _conversations,
    "items": _items,
    "chat_projects": _chat_projects,
    "stored_completions": _completions,
    "shares": _shares,
    "usage": _usage,
}
