"""The limits of a project's model calls, in OpenAI's shape."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.errors import NotFound
from apps.core.http.deletion import deleted
from apps.core.http.pagination import paginate_items
from apps.core.http.serializers import StrictSerializer
from apps.organizations.actors import actor_of_caller
from apps.organizations.roles import Scope
from apps.projects.scoping import ProjectView
from apps.quotas import services
from apps.quotas.models import MAX_AMOUNT, RateLimit
from apps.quotas.queries import ProjectLimits, limits_of

_TAGS = ["Projects"]
_KIND = "project.rate_limit"
_LIMITS = {
    "id": "rl_7Qm2b1Jq8sT2vW5yZ7aC9dE3",
    "object": _KIND,
    "model": "meta/llama-3.3-70b",
    "max_requests_per_1_minute": 600,
    "max_requests_per_1_day": 1000000,
    "max_tokens_per_1_minute": 10000000,
}
_EXAMPLE = OpenApiExample("Limits of a model", value=_LIMITS, response_only=True)
_CURSORS = [
    OpenApiParameter("limit", OpenApiTypes.INT, description="1 to 100, 20 by default."),
    OpenApiParameter("after", OpenApiTypes.STR, description="The last id of the page before."),
    OpenApiParameter("before", OpenApiTypes.STR, description="The first id of the page after."),
    OpenApiParameter("order", OpenApiTypes.STR, enum=["asc", "desc"], description="By default `*` first."),
    OpenApiParameter("offset", OpenApiTypes.INT, description="Instead of a cursor."),
]


def _amount() -> Any:
    return serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=MAX_AMOUNT)


class ChangedLimits(StrictSerializer):
    """What is null holds again as if it had never been set."""

    max_requests_per_1_minute = _amount()
    max_requests_per_1_day = _amount()
    max_tokens_per_1_minute = _amount()


class ProjectRateLimitSerializer(serializers.Serializer[Any]):
    id = serializers.CharField()
    object = serializers.CharField(default=_KIND)
    model = serializers.CharField(help_text="`*`: all models together.")
    max_requests_per_1_minute = serializers.IntegerField()
    max_requests_per_1_day = serializers.IntegerField()
    max_tokens_per_1_minute = serializers.IntegerField()


class ProjectRateLimitList(serializers.Serializer[Any]):
    object = serializers.CharField(default="list")
    data = ProjectRateLimitSerializer(many=True)  # type: ignore[assignment]  # the contract's key shadows DRF's attribute
    first_id = serializers.CharField(allow_null=True)
    last_id = serializers.CharField(allow_null=True)
    has_more = serializers.BooleanField()
    next_after = serializers.CharField(allow_null=True)
    total = serializers.IntegerField()
    rate_limits = ProjectRateLimitSerializer(many=True)


def _render(limits: ProjectLimits) -> dict[str, Any]:
    return {"id": limits.id, "object": _KIND, "model": limits.model or "*", **limits.amounts._asdict()}


class RateLimitsView(ProjectView):
    required_scope = Scope.RATE_LIMITS_READ

    @extend_schema(
        operation_id="listProjectRateLimits",
        summary="List a project's rate limits",
        description=(
            "What holds for all models together (`*`), and for each model the project can call, whether it is set "
            "for the project or not."
        ),
        tags=_TAGS,
        parameters=_CURSORS,
        responses={200: ProjectRateLimitList},
        examples=[
            OpenApiExample(
                "Limits",
                value={
                    "object": "list",
                    "data": [_LIMITS],
                    "first_id": _LIMITS["id"],
                    "last_id": _LIMITS["id"],
                    "has_more": False,
                    "next_after": None,
                    "total": 1,
                    "rate_limits": [_LIMITS],
                },
                response_only=True,
            )
        ],
    )
    def get(self, request: Request, project_id: str, **place: str) -> Response:
        # Pages begin at the end of what is oldest first, and `*` is to lead.
        limits = list(reversed(limits_of(self.project)))
        return Response(paginate_items(request, limits, _render, named="rate_limits", key=lambda each: each.id))


class RateLimitView(ProjectView):
    required_scope = Scope.RATE_LIMITS_WRITE

    def _found(self, rate_limit_id: str) -> ProjectLimits:
        for limits in limits_of(self.project):
            if limits.id == rate_limit_id:
                return limits
        raise NotFound("There is no such rate limit.", code="rate_limit_not_found")

    @extend_schema(
        operation_id="updateProjectRateLimit",
        summary="Change a project's rate limits",
        description="Of one model, or of all together. No project gets more than its organization has.",
        tags=_TAGS,
        request=ChangedLimits,
        responses={200: ProjectRateLimitSerializer},
        examples=[
            OpenApiExample("Fewer requests", value={"max_requests_per_1_minute": 600}, request_only=True),
            _EXAMPLE,
        ],
    )
    def post(self, request: Request, project_id: str, rate_limit_id: str, **place: str) -> Response:
        return self._update(request, rate_limit_id)

    @extend_schema(
        operation_id="patchProjectRateLimit",
        summary="Change a project's rate limits",
        description="The same as POST.",
        tags=_TAGS,
        request=ChangedLimits,
        responses={200: ProjectRateLimitSerializer},
        examples=[_EXAMPLE],
    )
    def patch(self, request: Request, project_id: str, rate_limit_id: str, **place: str) -> Response:
        return self._update(request, rate_limit_id)

    def _update(self, request: Request, rate_limit_id: str) -> Response:
        limits = self._found(rate_limit_id)
        wanted = ChangedLimits(data=request.data)
        wanted.is_valid(raise_exception=True)
        services.set_project_limits(
            project=self.project,
            model=limits.model,
            amounts=wanted.validated_data,
            actor=actor_of_caller(self.principal),
        )
        return Response(_render(self._found(rate_limit_id)))

    @extend_schema(
        operation_id="deleteProjectRateLimit",
        summary="Take a project's rate limits back",
        description="What holds without them holds again.",
        tags=_TAGS,
        responses={200: OpenApiTypes.OBJECT},
        examples=[
            OpenApiExample(
                "Taken back",
                value={"id": _LIMITS["id"], "object": f"{_KIND}.deleted", "deleted": True},
                response_only=True,
            )
        ],
    )
    def delete(self, request: Request, project_id: str, rate_limit_id: str, **place: str) -> Response:
        limits = self._found(rate_limit_id)
        own = RateLimit.objects.in_project(self.project).filter(model=limits.model).first()
        if own is not None:
            services.delete_limits(limits=own, actor=actor_of_caller(self.principal))
        return deleted(request, rate_limit_id, _KIND)
