"""What can be done with providers and the models they serve."""

from __future__ import annotations

import asyncio
import re
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
from apps.core.epoch import raise_epoch
from apps.core.errors import AppError, BadRequest, Conflict
from apps.core.logs import redact
from apps.core.sealing import SealBroken
from apps.core.strict_json import parse_json
from apps.organizations.models import Organization

SYNC_SECONDS = 10.0
MAX_MODEL_ID = 255
MAX_BASE_URL = 500
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
# What a model is taken for until an operator knows better.
_EMBEDDER: list[str] = [Capability.EMBEDDINGS]
_TALKER: list[str] = [Capability.CHAT, Capability.COMPLETIONS]
_CONTEXT_FIELDS = ("max_model_len", "context_length", "context_window", "max_context_length")
_MAX_CONTEXT = 2**31 - 1
_NOT_IN_A_URL = re.compile(r"[\s\x00-\x1f\x7f?#@\\]")


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
    url = base_url.strip().rstrip("/")
    try:
        parts = urlsplit(url)
        is_plain = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_plain = False
    if not is_plain or len(url) > MAX_BASE_URL or _NOT_IN_A_URL.search(url):
        raise BadRequest(
            "The base URL must be http(s)://host[:port]/v1, without credentials or a query.", param="base_url"
        )
    return url


def sync_provider(provider: Provider) -> SyncResult:
    """
    Read the provider's list of models and bring ours in line.

    A model keeps the id its provider gives it; the same id at two providers is one model with two
    routes. A new route makes its model callable if the provider `enables_new_models`. A model that
    is no longer listed keeps its rows, but its route takes no calls until it is listed again. Whether
    a route or a known model is active is the operator's word: no later sync changes it. Routes that
    were made by hand and never listed are left alone. Raises ProviderDoesNotAnswer.
    """
    try:
        listed = _ask(provider)
    except ProviderDoesNotAnswer as problem:
        Provider.objects.filter(pk=provider.pk).update(last_error=redact(str(problem)))
        raise
    result = _store(provider, listed)
    Provider.objects.filter(pk=provider.pk).update(last_error="", last_synced_at=timezone.now())
    switch_demo()
    return result


def _ask(provider: Provider) -> dict[str, dict[str, Any]]:
    """Return what the provider lists, by model id. Raises ProviderDoesNotAnswer."""
    try:
        credential = provider.credential
    except SealBroken as problem:
        raise ProviderDoesNotAnswer(f"The stored API key cannot be opened; enter it again. {problem}") from None
    listed = async_to_sync(_fetch_models)(provider.base_url, credential, SYNC_SECONDS)
    return {entry["id"]: entry for entry in listed}


@transaction.atomic
def _store(provider: Provider, listed: dict[str, dict[str, Any]]) -> SyncResult:
    # First, for its row lock: two syncs that share models would otherwise wait for each other for ever.
    raise_epoch()
    result = SyncResult()
    for name, entry in listed.items():
        (result.added if _route_to(provider, entry) else result.updated).append(name)
    seen = Route.objects.filter(provider=provider).exclude(is_listed=None)
    gone = {route.pk: route.upstream_model for route in seen if route.upstream_model not in listed}
    Route.objects.filter(pk__in=gone, is_listed=True).update(is_listed=False)
    result.missing = sorted(gone.values())
    return result


def _route_to(provider: Provider, entry: dict[str, Any]) -> bool:
    """Make sure a listed model and its route exist. Returns whether the route is new."""
    name: str = entry["id"]
    model, _ = Model.objects.get_or_create(
        organization=provider.organization,
        model_id=name,
        defaults={
            "owned_by": str(entry.get("owned_by") or provider.name)[:128],
            "capabilities": _EMBEDDER if "embed" in name.lower() else _TALKER,
            "context_length": _context_of(entry),
            "is_active": provider.enables_new_models,
        },
    )
    route, is_new = Route.objects.get_or_create(
        model=model, provider=provider, upstream_model=name, defaults={"is_listed": True}
    )
    if is_new and provider.enables_new_models and not model.is_active:
        Model.objects.filter(pk=model.pk).update(is_active=True)
    if not route.is_listed:
        Route.objects.filter(pk=route.pk).update(is_listed=True)
    return is_new


def _context_of(entry: dict[str, Any]) -> int | None:
    """Return the context length an entry states, under any of the names servers give it."""
    meta = entry.get("meta")
    stated = [entry.get(key) for key in _CONTEXT_FIELDS]
    stated.append(meta.get("n_ctx_train") if isinstance(meta, dict) else None)  # llama.cpp
    return next((each for each in stated if type(each) is int and 0 < each <= _MAX_CONTEXT), None)


def test_provider(provider: Provider) -> TestResult:
    """Ask a provider for its models and say how it went."""
    started = time.perf_counter()
    try:
        ok, message = True, f"It answers and lists {len(_ask(provider))} models."
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
        warnings += _register_configured()
    if settings.DISCOVER_PROVIDERS:
        for found in discover_local_providers():
            warnings += _register_found(found)
    _place_demo()
    return warnings


def _register_configured() -> list[str]:
    """The environment's address, and its key if it gives one, replace what is stored."""
    try:
        base_url = checked_base_url(settings.INFERENCE_MODEL_URL)
    except BadRequest as problem:
        return [f"JAN_INFERENCE_MODEL_URL: {problem.message}"]
    key = settings.INFERENCE_MODEL_API_KEY
    provider, is_new = Provider.objects.get_or_create(
        organization=None, name=CONFIGURED_NAME, defaults={"kind": ProviderKind.CUSTOM, "base_url": base_url}
    )
    # A key belongs to the address it was given for: another address never sees the old one.
    takes_key = is_new or provider.base_url != base_url or (bool(key) and not _holds(provider, key))
    if takes_key or not provider.enables_new_models:
        if takes_key:
            provider.credential = key
        provider.base_url, provider.enables_new_models = base_url, True
        provider.save()
    return _sync_or_warn(provider)


def _holds(provider: Provider, key: str) -> bool:
    try:
        return provider.credential == key
    except SealBroken:
        return False


def _register_found(found: Found) -> list[str]:
    """A server found here is registered once; what an operator changed about it since then stays."""
    same = [found.base_url, found.base_url.replace("127.0.0.1", "localhost")]
    provider = Provider.objects.filter(organization=None, base_url__in=same).first()
    if provider is None:
        defaults = {"kind": found.kind, "base_url": found.base_url, "enables_new_models": True}
        provider, _ = Provider.objects.get_or_create(organization=None, name=found.name, defaults=defaults)
    return _sync_or_warn(provider)


def _sync_or_warn(provider: Provider) -> list[str]:
    if not provider.is_active:
        return []
    try:
        sync_provider(provider)
    except ProviderDoesNotAnswer as problem:
        return [f"{provider.name}: {redact(str(problem))} It will be asked again."]
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
    """Make sure the demo model exists."""
    provider, _ = Provider.objects.get_or_create(
        organization=None, name=DEMO_NAME, defaults={"kind": ProviderKind.DEMO, "base_url": ""}
    )
    model, _ = Model.objects.get_or_create(
        organization=None,
        model_id=DEMO_MODEL,
        defaults={
            "display_name": "Jan demo (built-in, not a real model)",
            "owned_by": "jan-server",
            "capabilities": [*_TALKER, *_EMBEDDER, Capability.TOOLS],
            "context_length": 8192,
        },
    )
    Route.objects.get_or_create(model=model, provider=provider, upstream_model=DEMO_MODEL)
    switch_demo()


def switch_demo() -> None:
    """Let the demo answer exactly while no model of the platform can. An organization's own do not count for others."""
    real = Route.objects.callable().exclude(provider__kind=ProviderKind.DEMO).filter(model__organization=None)
    wanted = not real.exists()
    Provider.objects.filter(kind=ProviderKind.DEMO, is_active=not wanted).update(is_active=wanted)
