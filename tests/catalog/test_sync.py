import pytest

from apps.catalog.models import Model, ModelAlias, Provider, ProviderKind, Route
from apps.catalog.services import (
    DEMO_MODEL,
    MAX_MODELS_BYTES,
    ProviderDoesNotAnswer,
    add_provider,
    sync_provider,
    test_provider,
)
from apps.catalog.snapshot import load_table
from apps.catalog.tasks import sync_providers
from apps.core.epoch import current_epoch
from apps.core.errors import BadRequest, Conflict
from tests.catalog.conftest import make_model, make_tenant, provider_at

test_provider.__test__ = False  # type: ignore[attr-defined]  # a service, whatever its name suggests
pytestmark = pytest.mark.django_db


def add(base_url="http://gpu:8000/v1/", name="gpu-1", **fields):
    return add_provider(name=name, kind=ProviderKind.VLLM, base_url=base_url, **fields)


def callable_ids():
    return sorted(Route.objects.callable().values_list("model__model_id", flat=True))


def test_a_provider_is_kept_with_its_credential_sealed():
    provider = add(credential="sk-provider-0123456789")
    stored = Provider.objects.get(pk=provider.pk)
    assert (stored.base_url, stored.credential) == ("http://gpu:8000/v1", "sk-provider-0123456789")
    assert "provider-0123" not in stored.sealed_credential
    assert stored.credential_last_four == "6789"


@pytest.mark.parametrize(
    "base_url",
    [
        "ftp://gpu/v1",
        "gpu:8000/v1",
        "http:///v1",
        "http://user:secret@gpu/v1",
        "http://gpu/v1?key=1",
        "http://gpu/v1#x",
        "http://gpu:99999/v1",
        "http://[::1/v1",
        "http://gpu/v1\r\nX: 1",
        "http://gpu/" + "x" * 500,
        "",
    ],
)
def test_a_base_url_that_is_not_plain_http_is_refused(base_url):
    with pytest.raises(BadRequest) as refusal:
        add(base_url)
    assert refusal.value.param == "base_url"
    assert not Provider.objects.exists()


def test_a_name_is_used_once_on_the_platform_and_once_in_an_organization():
    organization, _ = make_tenant("a")
    add()
    add(organization=organization)
    for owner in (None, organization):
        with pytest.raises(Conflict):
            add(organization=owner)
    assert Provider.objects.count() == 2


def test_a_sync_makes_models_as_the_provider_calls_them(server):
    server.models = [
        {"id": "meta/llama-3", "owned_by": "meta", "max_model_len": 8192},
        {"id": "nomic-embed-text", "context_length": True},
        {"id": "gguf", "meta": {"n_ctx_train": 4096}},
        {"id": "x" * 256},
        {"id": ""},
        {"name": "no id"},
        "nonsense",
    ]
    provider = provider_at(server.base_url, enables_new_models=True)
    result = sync_provider(provider)
    assert (result.added, result.updated, result.missing) == (["meta/llama-3", "nomic-embed-text", "gguf"], [], [])
    facts = Model.objects.values_list("model_id", "owned_by", "context_length", "capabilities", "is_active")
    assert list(facts) == [
        ("gguf", "gpu-1", 4096, ["chat", "completions"], True),
        ("meta/llama-3", "meta", 8192, ["chat", "completions"], True),
        ("nomic-embed-text", "gpu-1", None, ["embeddings"], True),
    ]
    provider.refresh_from_db()
    assert provider.last_synced_at is not None
    assert server.seen == [("/v1/models", None)]


def test_new_models_wait_for_the_operator_unless_the_provider_enables_them(server):
    server.list("m")
    sync_provider(provider_at(server.base_url))
    assert (Model.objects.get().is_active, callable_ids()) == (False, [])


def test_the_same_id_at_two_providers_is_one_model_with_two_routes(server, second):
    server.list("m")
    second.list("m")
    sync_provider(provider_at(server.base_url, name="one"))
    sync_provider(provider_at(second.base_url, name="two", enables_new_models=True))
    assert list(Model.objects.values_list("model_id", "is_active")) == [("m", True)]
    assert Route.objects.count() == 2


def test_an_organizations_provider_makes_models_of_the_organization(server):
    server.list("m")
    organization, _ = make_tenant("a")
    make_model("m")
    sync_provider(provider_at(server.base_url, organization=organization, enables_new_models=True))
    assert set(Model.objects.values_list("model_id", "organization")) == {("m", None), ("m", organization.pk)}


def test_what_is_no_longer_listed_takes_no_calls_until_it_is_listed_again(server):
    server.list("stays", "goes")
    provider = provider_at(server.base_url, enables_new_models=True)
    sync_provider(provider)
    server.list("stays")
    result = sync_provider(provider)
    assert (result.added, result.updated, result.missing) == ([], ["stays"], ["goes"])
    assert callable_ids() == ["stays"]
    assert sorted(load_table()[None]) == ["stays"]
    assert Model.objects.count() == 2
    server.list("stays", "goes")
    sync_provider(provider)
    assert callable_ids() == ["goes", "stays"]


def test_what_an_operator_turned_off_stays_off(server):
    server.list("model", "route")
    provider = provider_at(server.base_url, enables_new_models=True)
    sync_provider(provider)
    Model.objects.filter(model_id="model").update(is_active=False)
    Route.objects.filter(upstream_model="route").update(is_active=False)
    server.list()
    sync_provider(provider)
    server.list("model", "route")
    sync_provider(provider)
    assert callable_ids() == []


def test_a_route_made_by_hand_is_left_alone(server):
    provider = provider_at(server.base_url)
    make_model("unlisted-adapter", provider=provider)
    assert sync_provider(provider).missing == []
    assert callable_ids() == ["unlisted-adapter"]


@pytest.mark.django_db(transaction=True)
def test_a_sync_makes_every_process_look_again(server):
    server.list("m")
    provider = provider_at(server.base_url)
    before = current_epoch()
    sync_provider(provider)
    assert current_epoch() > before


@pytest.mark.parametrize(
    "body", [b"<html>", b"[]", b'{"data": {}}', b'{"data": "\xff"}', b" " * (MAX_MODELS_BYTES + 1)]
)
def test_an_answer_that_is_no_list_changes_nothing_and_is_noted(server, body):
    server.list("m")
    provider = provider_at(server.base_url, enables_new_models=True)
    sync_provider(provider)
    server.body = body
    with pytest.raises(ProviderDoesNotAnswer):
        sync_provider(provider)
    provider.refresh_from_db()
    assert provider.last_error
    assert callable_ids() == ["m"]


def test_the_credential_is_sent_to_the_provider_and_to_nobody_it_points_at(server, second):
    server.status, server.headers = 302, {"location": f"{second.base_url}/models"}
    provider = add(server.base_url, credential="sk-provider-0123456789")
    with pytest.raises(ProviderDoesNotAnswer, match="status 302"):
        sync_provider(provider)
    assert server.seen == [("/v1/models", "Bearer sk-provider-0123456789")]
    assert second.seen == []


def test_a_credential_that_does_not_open_is_a_providers_failure():
    provider = add(credential="sk-provider-0123456789")
    organization, _ = make_tenant("a")
    Provider.objects.filter(pk=provider.pk).update(organization=organization)
    with pytest.raises(ProviderDoesNotAnswer, match="enter it again"):
        sync_provider(Provider.objects.get(pk=provider.pk))


def test_a_test_says_how_it_went(server):
    server.list("a", "b")
    good = test_provider(provider_at(server.base_url))
    assert (good.ok, good.message) == (True, "It answers and lists 2 models.")
    server.status = 401
    bad = test_provider(Provider.objects.get())
    assert (bad.ok, bad.message) == (False, f"{server.base_url}/models answered with status 401.")
    assert not Model.objects.exists()


def test_the_hourly_task_passes_over_a_provider_that_is_away(server, second, caplog):
    server.status = 500
    second.list("m")
    provider_at(server.base_url, name="away")
    provider_at(second.base_url, name="here", enables_new_models=True)
    provider_at("http://127.0.0.1:1/v1", name="off", is_active=False)
    Provider.objects.create(name="demo", kind=ProviderKind.DEMO)
    sync_providers()
    assert callable_ids() == ["m"]
    assert "provider away was not synced" in caplog.text
    assert "off" not in caplog.text


def test_the_routing_table_and_the_demo_follow_aliases():
    model = make_model(DEMO_MODEL)
    ModelAlias.objects.create(alias="gpt-4o", model=model)
    assert load_table()[None]["gpt-4o"].upstream_model == DEMO_MODEL
