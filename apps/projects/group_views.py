"""Groups of an organization, and who is in them."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.db.models import F
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.errors import NotFound
from apps.core.http.deletion import deleted
from apps.core.http.pagination import paginate
from apps.organizations import groups
from apps.organizations import openapi as shapes
from apps.organizations.actors import actor_of_caller
from apps.organizations.groups import group_of
from apps.organizations.members import member_of
from apps.organizations.models import Group, GroupMembership
from apps.organizations.roles import Scope
from apps.organizations.scoping import OrganizationView
from apps.organizations.serializers import NamedGroup, NewGroupUser, group_document, group_user_document
from apps.projects import group_services
from apps.projects.rights import grants_of

_TAGS = ["Groups"]
_EXAMPLE = shapes.answer("A group", shapes.GROUP)
_NAMED = shapes.body("A name", {"name": "Researchers"})


class GroupsView(OrganizationView):
    required_scope = {"GET": Scope.GROUPS_READ, "POST": Scope.GROUPS_WRITE}

    @extend_schema(
        operation_id="listGroups",
        summary="List groups",
        tags=_TAGS,
        parameters=shapes.CURSORS,
        responses={200: shapes.GroupPage},
        examples=[shapes.page_of("groups", shapes.GROUP)],
    )
    def get(self, request: Request, **_: Any) -> Response:
        found = Group.objects.in_organization(self.organization_id)
        page = paginate(request, found, lambda group: group_document(request, group), named="groups", always_named=True)
        return Response(page)

    @extend_schema(
        operation_id="createGroup",
        summary="Create a group",
        tags=_TAGS,
        request=NamedGroup,
        responses={200: shapes.GroupShape},
        examples=[_NAMED, _EXAMPLE],
    )
    def post(self, request: Request, **_: Any) -> Response:
        wanted = NamedGroup(data=request.data)
        wanted.is_valid(raise_exception=True)
        group = groups.create_group(
            organization=self.organization, actor=actor_of_caller(self.principal), **wanted.validated_data
        )
        return Response(group_document(request, group))


class GroupView(OrganizationView):
    required_scope = {
        "GET": Scope.GROUPS_READ,
        "POST": Scope.GROUPS_WRITE,
        "PATCH": Scope.GROUPS_WRITE,
        "DELETE": Scope.GROUPS_WRITE,
    }

    @extend_schema(
        operation_id="retrieveGroup",
        summary="Retrieve a group",
        tags=_TAGS,
        responses={200: shapes.GroupShape},
        examples=[_EXAMPLE],
    )
    def get(self, request: Request, group_id: str, **_: Any) -> Response:
        return Response(group_document(request, group_of(self.organization_id, group_id)))

    @extend_schema(
        operation_id="updateGroup",
        summary="Rename a group",
        tags=_TAGS,
        request=NamedGroup,
        responses={200: shapes.GroupShape},
        examples=[_NAMED, _EXAMPLE],
    )
    def post(self, request: Request, group_id: str, **_: Any) -> Response:
        wanted = NamedGroup(data=request.data)
        wanted.is_valid(raise_exception=True)
        group = groups.rename_group(
            group=group_of(self.organization_id, group_id),
            actor=actor_of_caller(self.principal),
            **wanted.validated_data,
        )
        return Response(group_document(request, group))

    @extend_schema(
        operation_id="patchGroup",
        summary="Rename a group (PATCH)",
        tags=_TAGS,
        request=NamedGroup,
        responses={200: shapes.GroupShape},
        examples=[_NAMED, _EXAMPLE],
    )
    def patch(self, request: Request, group_id: str, **_: Any) -> Response:
        return self.post(request, group_id)

    @extend_schema(
        operation_id="deleteGroup",
        summary="Delete a group",
        description="With the roles it gave. Its people stay members. Not for a group with more rights than yours.",
        tags=_TAGS,
        responses={200: shapes.Gone},
        examples=[shapes.gone(str(shapes.GROUP["id"]), "group")],
    )
    def delete(self, request: Request, group_id: str, **_: Any) -> Response:
        group = group_of(self.organization_id, group_id)
        grants = partial(grants_of, self.principal)
        group_services.delete_group(group=group, grants=grants, actor=actor_of_caller(self.principal))
        return deleted(request, group_id, "group")


class GroupUsersView(OrganizationView):
    required_scope = {"GET": Scope.GROUPS_READ, "POST": Scope.GROUPS_WRITE}

    @extend_schema(
        operation_id="listGroupUsers",
        summary="List who is in a group",
        tags=_TAGS,
        parameters=shapes.CURSORS,
        responses={200: shapes.GroupUserPage},
        examples=[shapes.page_of("users", shapes.GROUP_USER)],
    )
    def get(self, request: Request, group_id: str, **_: Any) -> Response:
        group = group_of(self.organization_id, group_id)
        inside = GroupMembership.objects.in_organization(self.organization_id).filter(group=group)
        page = paginate(
            request,
            inside.annotate(user_id=F("membership__user_id")).select_related("membership__user"),
            lambda row: group_user_document(row.membership),
            named="users",
            key="user_id",
            always_named=True,
        )
        return Response(page)

    @extend_schema(
        operation_id="createGroupUser",
        summary="Put a member into a group",
        description="It gets the group's roles. Not for a group with more rights than yours.",
        tags=_TAGS,
        request=NewGroupUser,
        responses={200: shapes.GroupUserAdded},
        examples=[
            shapes.body("Ada", {"user_id": shapes.USER["id"]}),
            shapes.answer(
                "Put in", {"object": "group.user", "group_id": shapes.GROUP["id"], "user_id": shapes.USER["id"]}
            ),
        ],
    )
    def post(self, request: Request, group_id: str, **_: Any) -> Response:
        wanted = NewGroupUser(data=request.data)
        wanted.is_valid(raise_exception=True)
        group = group_of(self.organization_id, group_id)
        membership = member_of(self.organization_id, wanted.validated_data["user_id"])
        group_services.put_in_group(
            group=group,
            membership=membership,
            grants=partial(grants_of, self.principal),
            actor=actor_of_caller(self.principal),
        )
        return Response({"object": "group.user", "group_id": group.public_id, "user_id": membership.user_id})


class GroupUserView(OrganizationView):
    required_scope = {"GET": Scope.GROUPS_READ, "DELETE": Scope.GROUPS_WRITE}

    @extend_schema(
        operation_id="retrieveGroupUser",
        summary="Retrieve somebody in a group",
        tags=_TAGS,
        responses={200: shapes.GroupUserShape},
        examples=[shapes.answer("In the group", shapes.GROUP_USER)],
    )
    def get(self, request: Request, group_id: str, user_id: str, **_: Any) -> Response:
        group = group_of(self.organization_id, group_id)
        membership = member_of(self.organization_id, user_id)
        inside = GroupMembership.objects.in_organization(self.organization_id).filter(group=group)
        if not inside.filter(membership=membership).exists():
            raise NotFound("There is no such user in this group.", code="user_not_found")
        return Response(group_user_document(membership))

    @extend_schema(
        operation_id="deleteGroupUser",
        summary="Take somebody out of a group",
        tags=_TAGS,
        responses={200: shapes.Gone},
        examples=[shapes.gone(str(shapes.USER["id"]), "group.user")],
    )
    def delete(self, request: Request, group_id: str, user_id: str, **_: Any) -> Response:
        group_services.take_out_of_group(
            group=group_of(self.organization_id, group_id),
            membership=member_of(self.organization_id, user_id),
            grants=partial(grants_of, self.principal),
            actor=actor_of_caller(self.principal),
        )
        return deleted(request, user_id, "group.user")
