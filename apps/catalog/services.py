"""What can be done with providers and the models they serve."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from asgiref.sync import async_to_sync
from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.catalog.models import Capability, Model, Provider, ProviderKind, Route
from apps.core.errors import AppError, BadRequest, Conflict
from apps.core.logs import redact
from apps.core.strict_json import parse_json
from apps.organizations.models import Organization

SYNC_SECONDS = 10.0
MAX_MODEL_ID = 255
MAX_MODELS_BYTES = 5 * 1024 * 1024
DISCOVERY_SECONDS = 0.3
CONFIGURED_NAME = "Configured provider"
DEMO_NAME = "Built-in demo"
DEMO_MODEL = "jan-demo"
# Where the usual local servers listen.
LOCAL_SERVERS: list[tuple[str, ProviderKind, int]] = [
    ("Ollama", ProviderKind.OLLAMA, 11434),
    ("vLLM", ProviderKind.VLLM, 8000),
    ("vLLM (8101)", ProviderKind.VLLM, 8101),
    ("LM Studio", ProviderKind.LM_STUDIO, 1234),
    ("Jan", ProviderKind.JAN, 1337),
    ("llama.cpp", ProviderKind.LLAMA_CPP, 8080),
]
_CONTEXT_FIELDS = ("max_model_len", "context_length", "context_window", "max_context_length")


class ProviderDoesNotAnswer(Exception):
    """A provider gave no list of models; the message is fit for an operator."""


@dataclass
class SyncResult:
    """Model ids that a sync added, found again, and no longer found."""

    added: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class TestResult:
    ok: bool
    message: str
    milliseconds: int


@dataclass(frozen=True)
class Found:
    """A model server on this machine."""

    name: str
    kind: ProviderKind
    base_url: str


def add_provider(
    *,
    name: str,
    kind: ProviderKind,
    base_url: str,
    credential: str = "",
    organization: Organization | None = None,
    enables_new_models: bool = False,
) -> Provider:
    """
    Register a provider, for the platform or for one organization.

    Raises BadRequest for a base URL that is not plain http(s), Conflict for a name in use.
    """
    provider = Provider(
        name=name,
        kind=kind,
        base_url=checked_base_url(base_url),
        organization=organization,
        enables_new_models=enables_new_models,
    )
    provider.credential = credential
    try:
        with transaction.atomic():
            provider.save()
    except IntegrityError:
        raise Conflict(f"There already is a provider named '{name}'.", code="already_exists", param="name") from None
    return provider


def checked_base_url(base_url: str) -> str:
    """Return the URL without a trailing slash. Raises BadRequest."""
    parts = urlsplit(base_url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise BadRequest("The base URL must be http(s)://host[:port]/v1, without credentials.", param="base_url")
    return base_url.strip().rstrip("/")


def sync_provider(provider: Provider) -> SyncResult:
    """
    Read the provider's list of models and bring ours in line.

    A model keeps the id its provider gives it; the same id at two providers is one model with two
    routes. New models are active if the provider `enables_new_models`. A model that is gone keeps
    its row and its route; calls to it get the provider's own answer. Raises ProviderDoesNotAnswer.
    """
    try:
        listed = async_to_sync(_fetch_models)(provider.base_url, provider.credential, SYNC_SECONDS)
    except ProviderDoesNotAnswer as problem:
        Provider.objects.filter(pk=provider.pk).update(last_error=redact(str(problem)))
        raise
    result = SyncResult()
    with transaction.atomic():
        known = set(Route.objects.filter(provider=provider).values_list("upstream_model", flat=True))
        for entry in listed:
            is_new = _route_to(provider, entry)
            (result.added if is_new else result.updated).append(entry["id"])
        result.missing = sorted(known - {entry["id"] for entry in listed})
    Provider.objects.filter(pk=provider.pk).update(last_error="", last_synced_at=timezone.now())
    return result


def _route_to(provider: Provider, entry: dict[str, Any]) -> bool:
    """Make sure a listed model and its route exist. Returns whether the route is new."""
    name: str = entry["id"]
    context = next((entry[key] for key in _CONTEXT_FIELDS if isinstance(entry.get(key), int)), None)
    is_embedder = "embed" in name.lower()
    model, _ = Model.objects.get_or_create(
        organization=provider.organization,
        model_id=name,
        defaults={
            "owned_by": str(entry.get("owned_by") or provider.name)[:128],
            "capabilities": [Capability.EMBEDDINGS] if is_embedder else [Capability.CHAT, Capability.COMPLETIONS],
            "context_length": context if context and 0 < context < 2**31 else None,
            "is_active": provider.enables_new_models,
        },
    )
    _, is_new = Route.objects.get_or_create(model=model, provider=provider, upstream_model=name)
    return is_new


def test_provider(provider: Provider) -> TestResult:
    """Ask a provider for its models and say how it went."""
    started = time.perf_counter()
    try:
        listed = async_to_sync(_fetch_models)(provider.base_url, provider.credential, SYNC_SECONDS)
        ok, message = True, f"It answers and lists {len(listed)} models."
    except ProviderDoesNotAnswer as problem:
        ok, message = False, redact(str(problem))
    return TestResult(ok, message, round((time.perf_counter() - started) * 1000))


async def _fetch_models(base_url: str, credential: str, seconds: float) -> list[dict[str, Any]]:
    """GET the list of models. Not redirected: the credential belongs to this address. Raises ProviderDoesNotAnswer."""
    headers = {"Authorization": f"Bearer {credential}"} if credential else {}
    timeout = aiohttp.ClientTimeout(total=seconds)
    try:
        async with (
            aiohttp.ClientSession(trust_env=False, timeout=timeout) as session,
            session.get(f"{base_url}/models", headers=headers, allow_redirects=False) as answer,
        ):
            if answer.status != 200:
                raise ProviderDoesNotAnswer(f"{base_url}/models answered with status {answer.status}.")
            return _listed(await _read(answer), base_url)
    except TimeoutError:
        raise ProviderDoesNotAnswer(f"{base_url} did not answer within {seconds:g} seconds.") from None
    except (aiohttp.ClientError, OSError, ValueError) as problem:
        raise ProviderDoesNotAnswer(f"{base_url} cannot be reached ({type(problem).__name__}).") from problem


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    body = b""
    async for part in answer.content.iter_chunked(64 * 1024):
        body += part
        if len(body) > MAX_MODELS_BYTES:
            raise ProviderDoesNotAnswer("The list of models is too large.")
    return body


def _listed(body: bytes, base_url: str) -> list[dict[str, Any]]:
    try:
        document = parse_json(body)
    except AppError as problem:
        raise ProviderDoesNotAnswer(f"{base_url}/models is no list of models: {problem}") from None
    data = document.get("data") if isinstance(document, dict) else None
    if not isinstance(data, list):
        raise ProviderDoesNotAnswer(f"{base_url}/models is no list of models.")
    return [
        entry
        for entry in data
        if isinstance(entry, dict) and isinstance(entry.get("id"), str) and 0 < len(entry["id"]) <= MAX_MODEL_ID
    ]


# --- At start -----------------------------------------------------------------------------------


def register_at_start() -> list[str]:
    """
    Register what the environment names and what this machine offers, and the demo if there is nothing else.

    Returns warnings about what did not answer; calling again repairs them. Safe beside other
    processes doing the same.
    """
    warnings = []
    if settings.INFERENCE_MODEL_URL:
        configured = Found(CONFIGURED_NAME, ProviderKind.CUSTOM, checked_base_url(settings.INFERENCE_MODEL_URL))
        warnings += _register(configured, settings.INFERENCE_MODEL_API_KEY)
    if settings.DISCOVER_PROVIDERS:
        for found in discover_local_providers():
            warnings += _register(found, "")
    _place_demo()
    return warnings


def _register(found: Found, credential: str) -> list[str]:
    provider, _ = Provider.objects.get_or_create(
        organization=None, name=found.name, defaults={"kind": found.kind, "base_url": found.base_url}
    )
    if (provider.base_url, provider.credential, provider.enables_new_models) != (found.base_url, credential, True):
        provider.base_url, provider.enables_new_models = found.base_url, True
        provider.credential = credential
        provider.save()
    try:
        sync_provider(provider)
    except ProviderDoesNotAnswer as problem:
        return [f"{found.name}: {redact(str(problem))} It will be asked again."]
    return []


def discover_local_providers() -> list[Found]:
    """Return the model servers that answer on this machine right now. Takes about 0.3 seconds."""
    return async_to_sync(_discover)()


async def _discover() -> list[Found]:
    async def look(name: str, kind: ProviderKind, port: int) -> Found | None:
        base_url = f"http://127.0.0.1:{port}/v1"
        try:
            await _fetch_models(base_url, "", DISCOVERY_SECONDS)
        except ProviderDoesNotAnswer:
            return None
        return Found(name, kind, base_url)

    # Our own port would be taken for a model server.
    candidates = [entry for entry in LOCAL_SERVERS if entry[2] != settings.HTTP_PORT]
    found = await asyncio.gather(*(look(*entry) for entry in candidates))
    return [each for each in found if each is not None]


def _place_demo() -> None:
    """Keep the demo model, active exactly while nothing else can answer."""
    provider, _ = Provider.objects.get_or_create(
        organization=None, name=DEMO_NAME, defaults={"kind": ProviderKind.DEMO, "base_url": ""}
    )
    model, _ = Model.objects.get_or_create(
        organization=None,
        model_id=DEMO_MODEL,
        defaults={
            "display_name": "Jan demo (built-in, not a real model)",
            "owned_by": "jan-server",
            "capabilities": [Capability.CHAT, Capability.COMPLETIONS, Capability.EMBEDDINGS, Capability.TOOLS],
            "context_length": 8192,
        },
    )
    Route.objects.get_or_create(model=model, provider=provider, upstream_model=DEMO_MODEL)
    others = Route.objects.callable().exclude(provider__kind=ProviderKind.DEMO)
    wanted = not others.filter(model__organization=None).exists()
    if provider.is_active != wanted:
        provider.is_active = wanted
        provider.save()
