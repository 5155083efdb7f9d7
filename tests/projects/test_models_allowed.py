"""Which models a caller sees: what organization, project and key allow, under every name a model has."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from apps.api_keys.authentication import Credentials, resolve
from apps.catalog.models import ModelAlias
from tests.catalog.conftest import make_model
from tests.projects.conftest import Acme, refused


@pytest.fixture
def models(acme: Acme) -> None:
    for name in ("small", "large", "huge"):
        model = make_model(name)
        if name == "large":
            ModelAlias.objects.create(alias="fast", model=model)


def listed(caller: Any) -> list[str]:
    names = [model["id"] for model in caller.call("GET", "/v1/models").json()["data"]]
    return [name for name in names if name in ("small", "large", "huge", "fast")]


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({}, ["fast", "huge", "large", "small"]),
        ({"allowed_models": ["small"]}, ["small"]),
        ({"allowed_models": ["large"]}, ["fast", "large"]),
        ({"allowed_models": ["fast"]}, ["fast"]),
        ({"allowed_models": []}, []),
        ({"allowed_models": ["gone"]}, []),
        ({"denied_models": ["small"]}, ["fast", "huge", "large"]),
        ({"denied_models": ["large"]}, ["huge", "small"]),
        ({"denied_models": ["fast"]}, ["huge", "large", "small"]),
        ({"denied_models": []}, ["fast", "huge", "large", "small"]),
    ],
)
def test_only_what_a_project_allows_is_seen(acme: Acme, models: None, settings: Any, names: list[str]):
    key = acme.owner.with_key(project=acme.project)
    assert acme.owner.call("PATCH", acme.path, {"settings": settings}).status_code == 200
    assert listed(key) == names
    for name in ("small", "large", "huge", "fast"):
        answer = key.call("GET", f"/v1/models/{name}")
        if name in names:
            assert (answer.status_code, answer.json()["id"]) == (200, name)
        else:
            assert refused(answer) == (404, "model_not_found", "model")
        assert key.call("GET", f"/v1/models/catalogs/{name}").status_code == answer.status_code
    assert listed(acme.owner) == ["fast", "huge", "large", "small"]


def test_every_list_must_allow_a_model(acme: Acme, models: None):
    acme.organization.settings = {"allowed_models": ["small", "large"]}
    acme.organization.save()
    acme.owner.call("PATCH", acme.path, {"settings": {"allowed_models": ["large", "huge"]}})
    key = acme.owner.with_key(project=acme.project, allowed_models=["large", "small", "huge"])
    assert listed(key) == ["fast", "large"]
    assert listed(acme.owner) == ["fast", "large", "small"]


def test_a_principal_knows_its_projects_default_model(acme: Acme):
    key = acme.owner.with_key(project=acme.project)
    assert resolve(Credentials(api_key=key.secret)).default_model is None
    acme.owner.call("PATCH", acme.path, {"settings": {"default_model": "small"}})
    assert resolve(Credentials(api_key=key.secret)).default_model == "small"


@pytest.mark.parametrize(
    ("lists", "name", "model_id", "may"),
    [
        ({}, "m", "m", True),
        ({"allowed_models": frozenset({"m"})}, "alias", "m", True),
        ({"allowed_models": frozenset({"alias"})}, "alias", "m", True),
        ({"allowed_models": frozenset({"alias"})}, "m", "m", False),
        ({"allowed_models": frozenset()}, "m", "m", False),
        ({"denied_models": frozenset({"m"})}, "alias", "m", False),
        ({"denied_models": frozenset({"alias"})}, "m", "m", True),
        ({"allowed_models": frozenset({"m"}), "denied_models": frozenset({"m"})}, "m", "m", False),
    ],
)
def test_names_of_a_model(acme: Acme, lists: Any, name: str, model_id: str, may: bool):
    principal = resolve(Credentials(bearer=acme.owner.secret))
    assert structs.replace(principal, **lists).may_call(name, model_id) is may
