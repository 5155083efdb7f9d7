"""What an organization used, in OpenAI's shape."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.http.parameters import values
from apps.organizations.principal import Principal
from apps.organizations.roles import Scope
from apps.organizations.scoping import OrganizationView
from apps.projects.models import Project
from apps.projects.rights import usable_in
from apps.usage import parameters
from apps.usage.queries import GROUPS, usage_of

_TAGS = ["Usage"]
_PARAMETERS = [
    OpenApiParameter("start_time", OpenApiTypes.INT, required=True, description="Unix seconds, inclusive."),
    OpenApiParameter("end_time", OpenApiTypes.INT, description="Unix seconds, exclusive. Now by default."),
    OpenApiParameter("bucket_width", OpenApiTypes.STR, enum=["1m", "1h", "1d"], description="1d by default."),
    OpenApiParameter(
        "limit", OpenApiTypes.INT, description="Buckets in a page: by default 60, 24, 7; at most 1440, 168, 31."
    ),
    OpenApiParameter("page", OpenApiTypes.STR, description="The `next_page` of the page before."),
    OpenApiParameter("group_by", {"type": "array", "items": {"type": "string"}}, description="Also as `group_by[]`."),
    *(
        OpenApiParameter(name, {"type": "array", "items": {"type": "string"}}, description=f"Also as `{name}[]`.")
        for name in ("project_ids", "user_ids", "api_key_ids", "models")
    ),
]
_GROUPED = {"project_id": None, "user_id": None, "api_key_id": None, "model": "meta/llama-3.3-70b"}


def _example(result: dict[str, Any]) -> OpenApiExample:
    bucket = {"object": "bucket", "start_time": 1763683200, "end_time": 1763769600, "results": [result]}
    return OpenApiExample(
        "A day", value={"object": "page", "data": [bucket], "has_more": False, "next_page": None}, response_only=True
    )


class BucketSerializer(serializers.Serializer[Any]):
    object = serializers.CharField()
    start_time = serializers.IntegerField()
    end_time = serializers.IntegerField()
    results = serializers.ListField(child=serializers.DictField())


class UsagePageSerializer(serializers.Serializer[Any]):
    object = serializers.CharField()
    data = BucketSerializer(many=True)  # type: ignore[assignment]  # the contract's key shadows DRF's attribute
    has_more = serializers.BooleanField()
    next_page = serializers.CharField(allow_null=True)


class UsageView(OrganizationView):
    """
    One report. `usage.read` is asked at the organization, or in each project that the request names.

    `endpoints` are those counted, `fields` the sums shown, `constants` the groups that no request
    of ours differs in.
    """

    required_scope = Scope.USAGE_READ
    kind: ClassVar[str]
    endpoints: ClassVar[tuple[str, ...]]
    fields: ClassVar[tuple[str, ...]]
    constants: ClassVar[dict[str, Any]] = {}

    def require(self, principal: Principal, scope: Scope) -> None:
        """Raise Forbidden unless the caller may read usage of all of its organization, or of all that it names."""
        if scope in principal.organization_scopes:
            return
        named = self._named(principal)
        found = list(Project.objects.visible_to(principal).filter(public_id__in=named))
        if not named or len(found) < len(named) or any(scope not in usable_in(principal, each) for each in found):
            raise principal.refusal(scope)

    def _named(self, principal: Principal) -> frozenset[str]:
        named = values(self.request.GET, "project_ids")
        if named is not None:
            return frozenset(named)
        return frozenset({principal.project_public_id} if "openai-project" in self.request.headers else ())

    def report(self, request: Request) -> Response:
        asked = parameters.read(request.query_params, frozenset({*GROUPS, *self.constants}))
        filters, principal = asked.filters, self.principal
        if self.required_scope not in principal.organization_scopes:
            filters = filters._replace(project_ids=self._named(principal))
        page = asked.span.first(asked.limit)
        endpoints = () if asked.is_batch else self.endpoints
        found = usage_of(self.organization_id, endpoints, page, asked.group_by, filters)
        has_more = page.end < asked.span.end
        return Response(
            {
                "object": "page",
                "data": [
                    {
                        "object": "bucket",
                        "start_time": start,
                        "end_time": end,
                        "results": [self._render(row, asked.group_by) for row in rows],
                    }
                    for (start, end), rows in zip(page.buckets(), found, strict=True)
                ],
                "has_more": has_more,
                "next_page": parameters.cursor_of(page.end) if has_more else None,
            }
        )

    def _render(self, row: dict[str, Any], group_by: tuple[str, ...]) -> dict[str, Any]:
        return {
            "object": f"organization.usage.{self.kind}.result",
            **{name: row[name] for name in self.fields},
            **{name: row.get(name) for name in GROUPS},
            **{name: value if name in group_by else None for name, value in self.constants.items()},
        }


class CompletionsUsageView(UsageView):
    kind = "completions"
    endpoints = ("chat/completions", "completions")
    fields = ("input_tokens", "output_tokens", "input_cached_tokens", "num_model_requests")
    constants = {"batch": False, "service_tier": "default", "api_source": "unlabeled"}

    @extend_schema(
        operation_id="getCompletionsUsage",
        summary="Usage of completions",
        description=(
            "Every request that was accepted, whatever its end. Buckets are those of the clock in UTC, the first and "
            "the last cut to the time asked for; those without requests are in the answer too. Whoever may read usage "
            "in some projects only names them in `project_ids` (or one in `OpenAI-Project`)."
        ),
        tags=_TAGS,
        parameters=[*_PARAMETERS, OpenApiParameter("batch", OpenApiTypes.BOOL, description="There are no batches.")],
        responses={200: UsagePageSerializer},
        examples=[
            _example(
                {
                    "object": "organization.usage.completions.result",
                    "input_tokens": 1500,
                    "output_tokens": 700,
                    "input_cached_tokens": 800,
                    "num_model_requests": 5,
                    **_GROUPED,
                    "batch": None,
                    "service_tier": None,
                    "api_source": None,
                }
            )
        ],
    )
    def get(self, request: Request, **place: str) -> Response:
        return self.report(request)


class EmbeddingsUsageView(UsageView):
    kind = "embeddings"
    endpoints = ("embeddings",)
    fields = ("input_tokens", "num_model_requests")

    @extend_schema(
        operation_id="getEmbeddingsUsage",
        summary="Usage of embeddings",
        tags=_TAGS,
        parameters=_PARAMETERS,
        responses={200: UsagePageSerializer},
        examples=[
            _example(
                {
                    "object": "organization.usage.embeddings.result",
                    "input_tokens": 320,
                    "num_model_requests": 4,
                    **_GROUPED,
                }
            )
        ],
    )
    def get(self, request: Request, **place: str) -> Response:
        return self.report(request)
