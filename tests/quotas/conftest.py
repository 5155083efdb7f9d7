from __future__ import annotations

import pytest

from apps.catalog.models import Model, ModelAlias, Provider, Route
from tests.api_keys.conftest import ada as ada
from tests.api_keys.conftest import eve as eve


@pytest.fixture
def models(db: None) -> list[str]:
    """Two models that everybody can call, one of them also by an alias."""
    provider = Provider.objects.create(name="gpu", kind="vllm", base_url="http://vllm:8000/v1")
    for name in ("a-model", "org/b-model"):
        model = Model.objects.create(model_id=name)
        Route.objects.create(model=model, provider=provider, upstream_model=name)
    ModelAlias.objects.create(alias="b", model=model)
    return ["a-model", "org/b-model"]
