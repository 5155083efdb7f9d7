"""Is it alive, is it ready, what is it: for load balancers, operators and people."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema, inline_serializer
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.core.errors import ServiceUnavailable
from apps.core.lifecycle import STARTED_AT, lifecycle
from apps.health.metrics import UsageCollector
from apps.organizations.permissions import ANY_CREDENTIAL, principal_of

TAG = ["Operation"]


class PublicView(APIView):
    """Asked by load balancers, which have no credentials; says nothing a stranger may not know."""

    authentication_classes = ()
    permission_classes = ()


_View = TypeVar("_View", bound=Callable[..., Any])


def _schema(name: str, summary: str, example: dict[str, str]) -> Callable[[_View], _View]:
    fields: dict[str, Any] = {key: serializers.CharField() for key in example}
    return extend_schema(
        operation_id=name,
        summary=summary,
        tags=TAG,
        auth=[],
        responses={200: inline_serializer(name[0].upper() + name[1:], fields)},
        examples=[OpenApiExample(summary, value=example)],
    )


class HealthView(PublicView):
    @_schema("health", "Health", {"status": "healthy", "timestamp": "2026-11-21T09:30:00Z"})
    def get(self, request: Request) -> Response:
        return Response({"status": "healthy", "timestamp": timezone.now()})


class LivenessView(PublicView):
    @_schema("liveness", "Is the process alive", {"status": "ok"})
    def get(self, request: Request) -> Response:
        return Response({"status": "ok"})


class HealthcheckView(PublicView):
    @extend_schema(
        operation_id="healthcheck",
        summary='The word "ok"',
        tags=TAG,
        auth=[],
        responses={200: str},
        examples=[OpenApiExample("ok", value="ok")],
    )
    def get(self, request: Request) -> Response:
        return Response("ok")


class ReadinessView(PublicView):
    _is_migrated = False

    @_schema("readiness", "Can it serve", {"status": "ready"})
    def get(self, request: Request) -> Response:
        if lifecycle.draining:
            raise ServiceUnavailable("Draining.", code="draining", retry_after=1)
        try:
            self._check_database()
        except (DatabaseError, OSError) as problem:
            raise ServiceUnavailable("The database does not answer.", retry_after=2) from problem
        return Response({"status": "ready"})

    @classmethod
    def _check_database(cls) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        if not cls._is_migrated:
            executor = MigrationExecutor(connection)
            if executor.migration_plan(executor.loader.graph.leaf_nodes()):
                raise ServiceUnavailable("Migrations have not been applied.", code="not_migrated", retry_after=2)
            cls._is_migrated = True


class VersionView(PublicView):
    @_schema("version", "Which version runs", {"version": "0.1.0", "env_reloaded_at": "2026-11-21T09:30:00Z"})
    def get(self, request: Request) -> Response:
        return Response({"version": settings.VERSION, "env_reloaded_at": STARTED_AT})


class StatusView(APIView):
    required_scope = ANY_CREDENTIAL

    @extend_schema(
        operation_id="status",
        summary="What works right now",
        tags=TAG,
        responses={200: inline_serializer("Status", {"status": serializers.CharField()})},
        examples=[OpenApiExample("All well", value={"status": "ok", "version": "0.1.0", "database_ms": 0.4})],
    )
    def get(self, request: Request) -> Response:
        started = time.perf_counter()
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return Response(
            {
                "status": "draining" if lifecycle.draining else "ok",
                "version": settings.VERSION,
                "started_at": STARTED_AT,
                "database_ms": round((time.perf_counter() - started) * 1000, 2),
            }
        )


class MetricsView(APIView):
    """For operators' Prometheus: an operator's personal key with all rights, or token."""

    required_scope = ANY_CREDENTIAL

    @extend_schema(
        operation_id="metrics",
        summary="Metrics for Prometheus",
        description="Operators only, with a personal key that has all rights, or their own access token.",
        tags=TAG,
        responses={(200, "text/plain"): str},
    )
    def get(self, request: Request) -> HttpResponse:
        registry = CollectorRegistry()
        registry.register(UsageCollector(principal_of(request)))
        return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
