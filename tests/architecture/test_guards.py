"""Rules over the whole platform; each fails with the name of what broke it."""

import ast
import fnmatch
from collections.abc import Iterator
from pathlib import Path

import celery
from django.conf import settings
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.views import APIView

from apps.edge.app import INFERENCE

ROOT = Path(__file__).resolve().parents[2]
MAX_LINES, MAX_FUNCTION = 400, 60

# Views that need no credential, and why.
PUBLIC = {
    "GuestLoginView": "whoever signs in has no credential yet",
    "RefreshTokenView": "the refresh token is the credential",
    "RefreshView": "the refresh token is the credential",
    "RevokeView": "RFC 7009: the token is the credential",
    "LogoutView": "reads the token itself: a refresh token will do",
    "ValidateView": "the credential it looks at is the caller's",
    "ValidateApiKeyView": "the credential it looks at is the caller's",
    "GoogleLoginView": "whoever signs in has no credential yet",
    "GoogleRedirectView": "whoever signs in has no credential yet",
    "GoogleCallbackView": "the code and the state are the credential",
    "OIDCLoginView": "whoever signs in has no credential yet",
    "OIDCCallbackView": "the code and the state are the credential",
    "InviteView": "GET with `token`: whoever holds an invite's link may look at what it offers",
    "PublicShareView": "whoever has a share's link may read it",
    "JWKSView": "public keys",
    "HealthView": "asked by load balancers",
    "LivenessView": "asked by load balancers",
    "HealthcheckView": "asked by load balancers",
    "ReadinessView": "asked by load balancers",
    "VersionView": "a bug report needs it",
    "SpectacularJSONAPIView": "documentation",
    "SpectacularSwaggerSplitView": "documentation",
}


def walk(patterns: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    for pattern in patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from walk(pattern.url_patterns, path)
        else:
            yield path, pattern


def api_views() -> dict[str, type[APIView]]:
    found = {}
    for path, pattern in walk(get_resolver().url_patterns):
        view = getattr(pattern.callback, "cls", None) or getattr(pattern.callback, "view_class", None)
        if isinstance(view, type) and issubclass(view, APIView):
            found[path] = view
    return found


def test_every_view_declares_a_scope_or_is_public_for_a_reason():
    views = api_views()
    assert len(views) > 20
    closed = {
        f"{path} ({view.__name__})"
        for path, view in views.items()
        if getattr(view, "required_scope", None) is None and view.__name__ not in PUBLIC
    }
    assert closed == set()


def test_every_public_view_exists():
    assert set(PUBLIC) <= {view.__name__ for view in api_views().values()}


def test_every_api_route_answers_under_every_prefix():
    paths = set(api_views())
    for path in [path for path in paths if path.startswith("v1/") and "swagger" not in path]:
        for prefix in ("api/", "llm/", "api/llm/"):
            assert prefix + path in paths


def test_model_calls_are_the_edges_and_nobody_elses():
    assert set(INFERENCE) == {
        "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/conv/chat/completions", "/v1/conv/mcp",
    }  # fmt: skip
    named = {path: view for path, view in api_views().items() if path.endswith(("completions", "embeddings"))}
    assert {path for path, view in named.items() if hasattr(view, "post")} == set()


def test_every_task_names_its_queue():
    celery.current_app.autodiscover_tasks(force=True)
    ours = {name for name in celery.current_app.tasks if name.startswith("apps.")}
    assert ours
    patterns = list(settings.CELERY_TASK_ROUTES)
    assert {name for name in ours if not any(fnmatch.fnmatch(name, pattern) for pattern in patterns)} == set()


def sources() -> list[Path]:
    files = [*(ROOT / "apps").rglob("*.py"), *(ROOT / "janserver").rglob("*.py")]
    return [file for file in files if "migrations" not in file.parts]


def test_modules_and_functions_stay_short():
    long = []
    for file in sources():
        text = file.read_text()
        if text.count("\n") > MAX_LINES:
            long.append(f"{file.relative_to(ROOT)}: {text.count(chr(10))} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or 0) - node.lineno + 1
                if length > MAX_FUNCTION:
                    long.append(f"{file.relative_to(ROOT)}: {node.name} has {length} lines")
    assert long == []


def test_nothing_is_left_for_later():
    words = ("TODO", "FIXME", "XXX", "NotImplementedError")
    assert [f"{file}: {word}" for file in sources() for word in words if word in file.read_text()] == []
