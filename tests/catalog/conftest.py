from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import pytest

from apps.accounts.models import User
from apps.api_keys.services import Holder, create_key
from apps.api_keys.tokens import KeyKind
from apps.catalog.models import Model, Provider, ProviderKind, Route
from apps.organizations.models import Organization
from apps.projects.models import Project


class ModelServer:
    """Answers GET /v1/models on a real socket: `models` as a list, or `body` as it stands."""

    def __init__(self) -> None:
        self.models: list[dict[str, Any]] = []
        self.body: bytes | None = None
        self.status = 200
        self.headers: dict[str, str] = {}
        self.seen: list[tuple[str, str | None]] = []
        # Set: answers. Cleared: keeps its callers waiting.
        self.answers = threading.Event()
        self.answers.set()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = False
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def port(self) -> int:
        return int(self._http.server_address[1])

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def list(self, *ids: str) -> None:
        self.models = [{"id": name, "object": "model"} for name in ids]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.answers.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.seen.append((self.path, self.headers["Authorization"]))
                server.answers.wait(5)
                listed = json.dumps({"object": "list", "data": server.models}).encode()
                body = listed if server.body is None else server.body
                try:
                    self.send_response(server.status)
                    for name, value in server.headers.items():
                        self.send_header(name, value)
                    self.send_header("content-length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except ConnectionError:
                    pass  # the caller gave up

            def log_message(self, *_: object) -> None:
                pass

        return Handler


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer() as running:
        yield running


@pytest.fixture
def second() -> Iterator[ModelServer]:
    with ModelServer() as running:
        yield running


def provider_at(base_url: str, *, name: str = "gpu-1", **fields: Any) -> Provider:
    return Provider.objects.create(name=name, kind=ProviderKind.VLLM, base_url=base_url, **fields)


def make_model(model_id: str, *, provider: Provider | None = None, **fields: Any) -> Model:
    """A model and its route; by default at a provider nobody asks."""
    fields.setdefault("organization", provider.organization if provider else None)
    if provider is None:
        provider = Provider.objects.get_or_create(
            name="somewhere", organization=None, defaults={"kind": ProviderKind.CUSTOM, "base_url": "http://x/v1"}
        )[0]
    model = Model.objects.create(model_id=model_id, **fields)
    Route.objects.create(model=model, provider=provider, upstream_model=model_id)
    return model


def make_tenant(name: str) -> tuple[Organization, dict[str, str]]:
    """An organization and the headers of one who may read its models."""
    user = User.objects.create_user(email=f"{name}@example.com", password=None)
    project = Project.objects.get(organization__memberships__user=user)
    _, secret = create_key(kind=KeyKind.USER, name=name, place=project, holder=Holder(user))
    return project.organization, {"X-API-Key": secret}
