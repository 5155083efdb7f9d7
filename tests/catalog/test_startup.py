import threading

import pytest
from django.db import connection, connections

from apps.catalog import services
from apps.catalog.models import Model, Provider, ProviderKind, Route
from apps.catalog.services import (
    CONFIGURED_NAME,
    DEMO_MODEL,
    DEMO_NAME,
    Found,
    discover_local_providers,
    register_at_start,
    sync_provider,
)
from tests.catalog.conftest import ModelServer, provider_at

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def environment(settings):
    """Nothing is configured and nothing is looked for, unless a test says so."""
    settings.INFERENCE_MODEL_URL = settings.INFERENCE_MODEL_API_KEY = ""
    settings.DISCOVER_PROVIDERS = False
    return settings


@pytest.fixture
def local(monkeypatch, server: ModelServer) -> ModelServer:
    """`server` stands where Ollama usually listens."""
    monkeypatch.setattr(services, "LOCAL_SERVERS", [("Ollama", ProviderKind.OLLAMA, server.port)])
    return server


def callable_ids():
    return sorted(Route.objects.callable().values_list("model__model_id", flat=True))


def test_without_any_provider_the_demo_answers():
    assert register_at_start() == []
    assert callable_ids() == [DEMO_MODEL]
    demo = Model.objects.get()
    assert (demo.display_name, demo.owned_by) == ("Jan demo (built-in, not a real model)", "jan-server")


def test_the_configured_provider_is_registered_synced_and_enabled(environment, server):
    server.list("a", "org/b")
    environment.INFERENCE_MODEL_URL, environment.INFERENCE_MODEL_API_KEY = server.base_url + "/", "sk-env-0123456789"
    assert register_at_start() == []
    assert callable_ids() == ["a", "org/b"]
    provider = Provider.objects.get(name=CONFIGURED_NAME)
    assert (provider.base_url, provider.credential) == (server.base_url, "sk-env-0123456789")
    assert server.seen == [("/v1/models", "Bearer sk-env-0123456789")]


def test_a_second_start_changes_nothing(environment, server):
    server.list("a")
    environment.INFERENCE_MODEL_URL = server.base_url
    register_at_start()
    rows = [list(kind.objects.order_by("pk").values_list("pk", "updated_at")) for kind in (Provider, Model)]
    register_at_start()
    assert [list(kind.objects.order_by("pk").values_list("pk", "updated_at")) for kind in (Provider, Model)] == rows


def test_a_provider_that_is_away_is_a_warning_and_found_by_a_later_call(environment, server):
    server.list("a")
    server.status = 503
    environment.INFERENCE_MODEL_URL = server.base_url
    warnings = register_at_start()
    assert warnings == [
        f"{CONFIGURED_NAME}: {server.base_url}/models answered with status 503. It will be asked again."
    ]
    assert callable_ids() == [DEMO_MODEL]
    server.status = 200
    assert register_at_start() == []
    assert callable_ids() == ["a"]


def test_an_address_that_is_none_is_a_warning(environment):
    environment.INFERENCE_MODEL_URL = "localhost:11434"
    [warning] = register_at_start()
    assert warning.startswith("JAN_INFERENCE_MODEL_URL: The base URL must be")
    assert callable_ids() == [DEMO_MODEL]


def test_a_key_is_not_carried_to_another_address(environment, server, second):
    environment.INFERENCE_MODEL_URL, environment.INFERENCE_MODEL_API_KEY = server.base_url, "sk-env-0123456789"
    register_at_start()
    environment.INFERENCE_MODEL_URL, environment.INFERENCE_MODEL_API_KEY = second.base_url, ""
    register_at_start()
    assert second.seen == [("/v1/models", None)]


def test_models_of_the_address_before_take_no_calls(environment, server, second):
    server.list("old")
    second.list("new")
    for address in (server.base_url, second.base_url):
        environment.INFERENCE_MODEL_URL = address
        register_at_start()
    assert callable_ids() == ["new"]


def test_a_key_an_operator_entered_outlives_a_restart_without_one(environment, server):
    environment.INFERENCE_MODEL_URL = server.base_url
    register_at_start()
    provider = Provider.objects.get(name=CONFIGURED_NAME)
    provider.credential = "sk-entered-0123456789"
    provider.save()
    register_at_start()
    assert server.seen[-1] == ("/v1/models", "Bearer sk-entered-0123456789")


def test_a_configured_key_replaces_one_that_no_longer_opens(environment, server):
    environment.INFERENCE_MODEL_URL, environment.INFERENCE_MODEL_API_KEY = server.base_url, "sk-env-0123456789"
    register_at_start()
    # Sealed for another row: it does not open here.
    other = Provider(name="other")
    other.credential = "sk-env-0123456789"
    Provider.objects.filter(name=CONFIGURED_NAME).update(sealed_credential=other.sealed_credential)
    assert register_at_start() == []
    assert Provider.objects.get(name=CONFIGURED_NAME).credential == "sk-env-0123456789"


def test_a_local_server_is_found(local):
    assert discover_local_providers() == [Found("Ollama", ProviderKind.OLLAMA, local.base_url)]


def test_our_own_port_is_not_taken_for_a_model_server(environment, local):
    environment.HTTP_PORT = local.port
    assert discover_local_providers() == []
    assert local.seen == []


def test_a_silent_or_foreign_server_is_not_found(local):
    local.body = b"<html>It works!</html>"
    assert discover_local_providers() == []
    local.body = None
    local.answers.clear()
    assert discover_local_providers() == []


def test_a_local_server_is_registered_and_its_models_enabled(environment, local):
    local.list("llama3.2:latest")
    environment.DISCOVER_PROVIDERS = True
    assert register_at_start() == []
    assert callable_ids() == ["llama3.2:latest"]


def test_what_an_operator_changed_about_a_local_server_stays(environment, local):
    local.list("m")
    environment.DISCOVER_PROVIDERS = True
    register_at_start()
    Provider.objects.filter(name="Ollama").update(name="Box under the desk", enables_new_models=False)
    local.list("m", "n")
    register_at_start()
    assert Provider.objects.exclude(kind=ProviderKind.DEMO).count() == 1
    assert callable_ids() == ["m"]
    Provider.objects.filter(name="Box under the desk").update(is_active=False)
    register_at_start()
    assert callable_ids() == [DEMO_MODEL]


def test_a_local_server_an_operator_added_is_not_registered_twice(environment, local):
    provider_at(local.base_url.replace("127.0.0.1", "localhost"), name="mine")
    environment.DISCOVER_PROVIDERS = True
    register_at_start()
    assert set(Provider.objects.values_list("name", flat=True)) == {"mine", DEMO_NAME}


def test_the_demo_leaves_when_a_sync_brings_a_model_and_returns_when_it_goes(server):
    register_at_start()
    server.list("m")
    provider = provider_at(server.base_url, enables_new_models=True)
    sync_provider(provider)
    assert callable_ids() == ["m"]
    server.list()
    sync_provider(provider)
    assert callable_ids() == [DEMO_MODEL]


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(
    connection.vendor == "sqlite", reason="the suite's SQLite lives in memory, where threads cannot wait for a lock"
)
def test_two_processes_may_start_at_once(environment, server):
    server.list(*(f"m{number}" for number in range(10)))
    environment.INFERENCE_MODEL_URL = server.base_url
    outcomes = []

    def start():
        try:
            outcomes.append(register_at_start())
        except Exception as problem:
            outcomes.append(problem)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=start) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [[], []]
    assert callable_ids() == [f"m{number}" for number in range(10)]
    assert Provider.objects.count() == 2
