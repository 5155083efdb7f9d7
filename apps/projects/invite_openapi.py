"""Shapes and examples of invites in the API's description."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter
from rest_framework import serializers

from apps.organizations.roles import ProjectRole, Role
from apps.projects.invite_serializers import STATUSES
from apps.projects.openapi import CURSORS, ListSerializer

TAGS = ["Invites"]
LIST_PARAMETERS = [
    OpenApiParameter(
        "status", OpenApiTypes.STR, enum=STATUSES, description="All by default. What was declined counts as expired."
    ),
    *CURSORS,
]
TOKEN_PARAMETER = OpenApiParameter(
    "token", OpenApiTypes.STR, description="The secret of the invite's link, in place of a credential."
)


class InvitedProjectSerializer(serializers.Serializer[Any]):
    id = serializers.CharField()
    role = serializers.ChoiceField(choices=[role.value for role in ProjectRole])


class InvitingOrganizationSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    domain = serializers.CharField(allow_blank=True)


class InviteSerializer(serializers.Serializer[Any]):
    id = serializers.CharField()
    object = serializers.CharField(default="organization.invite")
    email = serializers.EmailField()
    role = serializers.ChoiceField(choices=[role.value for role in Role])
    status = serializers.ChoiceField(choices=STATUSES)
    status_detail = serializers.ChoiceField(choices=[*STATUSES, "declined"])
    created_at = serializers.IntegerField()
    expires_at = serializers.IntegerField()
    accepted_at = serializers.IntegerField(allow_null=True)
    invited_by = serializers.CharField()
    message = serializers.CharField(allow_blank=True)
    projects = InvitedProjectSerializer(many=True)


class SentInviteSerializer(InviteSerializer):
    invite_url = serializers.CharField(help_text="A link to hand over yourself. It is in this answer and nowhere else.")


class DetailedInviteSerializer(InviteSerializer):
    organization = InvitingOrganizationSerializer()


class InviteList(ListSerializer):
    data = InviteSerializer(many=True)  # type: ignore[assignment]  # the contract's key shadows DRF's attribute
    invites = InviteSerializer(many=True)


class DeletedInviteSerializer(serializers.Serializer[Any]):
    id = serializers.CharField()
    object = serializers.CharField(default="organization.invite.deleted")
    deleted = serializers.BooleanField()


_ID = "inv_3b1Jq8sT2vW5yZ7aC9dE4fT0"
_INVITE = {
    "id": _ID,
    "object": "organization.invite",
    "email": "newuser@example.com",
    "role": "member",
    "status": "pending",
    "status_detail": "pending",
    "created_at": 1795253400,
    "expires_at": 1795858200,
    "accepted_at": None,
    "invited_by": "admin@example.com",
    "message": "Welcome to our organization!",
    "projects": [{"id": "proj_8sT2vW5yZ7aC9dE34fT0pLq1", "role": "member"}],
}
_ORGANIZATION = {"name": "Acme Corp", "domain": "acme.com"}
_DETAILED = {**_INVITE, "organization": _ORGANIZATION}
NEW_INVITE_EXAMPLE = OpenApiExample(
    "To the organization and a project",
    value={
        "email": "newuser@example.com",
        "role": "member",
        "expires_in_days": 7,
        "message": "Welcome to our organization!",
        "projects": _INVITE["projects"],
    },
    request_only=True,
)
SENT_EXAMPLE = OpenApiExample(
    "The new invite",
    value={**_INVITE, "invite_url": "https://jan.example.com/accounts/invite/?token=q8sT2vW5yZ7aC9dE3b1J4fT0pLq8sT2v"},
    response_only=True,
)
INVITE_EXAMPLE = OpenApiExample("An invite", value=_DETAILED, response_only=True)
OFFER_EXAMPLE = OpenApiExample(
    "What the link shows",
    value={
        **{name: _INVITE[name] for name in ("id", "object", "role", "status", "expires_at", "invited_by")},
        "organization": _ORGANIZATION,
    },
    response_only=True,
)
INVITES_EXAMPLE = OpenApiExample(
    "Invites",
    value={
        "object": "list",
        "data": [_INVITE],
        "first_id": _ID,
        "last_id": _ID,
        "has_more": False,
        "next_after": None,
        "total": 1,
        "limit": 20,
        "offset": 0,
        "invites": [_INVITE],
    },
    response_only=True,
)
DELETED_INVITE_EXAMPLE = OpenApiExample(
    "Gone", value={"id": _ID, "object": "organization.invite.deleted", "deleted": True}, response_only=True
)
ANSWER_EXAMPLE = OpenApiExample(
    "The link's secret", value={"token": "q8sT2vW5yZ7aC9dE3b1J4fT0pLq8sT2v"}, request_only=True
)
ACCEPTED_EXAMPLE = OpenApiExample(
    "Accepted",
    value={**_DETAILED, "status": "accepted", "status_detail": "accepted", "accepted_at": 1795260000},
    response_only=True,
)
DECLINED_EXAMPLE = OpenApiExample(
    "Declined", value={**_DETAILED, "status": "expired", "status_detail": "declined"}, response_only=True
)
