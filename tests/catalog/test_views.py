import pytest

from apps.catalog.models import Capability, Model, ModelAlias, Provider, ProviderKind, Route
from apps.catalog.queries import callable_models
from apps.catalog.services import register_at_start
from apps.catalog.snapshot import load_table
from tests.catalog.conftest import make_model, make_tenant, provider_at

pytestmark = pytest.mark.django_db


@pytest.fixture
def tenant():
    return make_tenant("a")


@pytest.fixture
def organization(tenant):
    return tenant[0]


@pytest.fixture
def get(client, tenant):
    def get(path, headers=tenant[1]):
        return client.get(f"/v1/{path}", headers=headers)

    return get


def ids(answer):
    return [model["id"] for model in answer.json()["data"]]


def test_a_list_holds_what_can_be_called_in_openais_shape(get):
    model = make_model(
        "meta/llama-3",
        owned_by="meta",
        display_name="Llama 3",
        capabilities=[Capability.CHAT],
        context_length=8192,
    )
    assert get("models").json() == {
        "object": "list",
        "data": [
            {
                "id": "meta/llama-3",
                "object": "model",
                "created": int(model.created_at.timestamp()),
                "owned_by": "meta",
                "capabilities": ["chat"],
                "context_length": 8192,
                "display_name": "Llama 3",
                "is_demo": False,
            }
        ],
        "first_id": "meta/llama-3",
        "last_id": "meta/llama-3",
        "has_more": False,
        "next_after": None,
        "total": 1,
    }


def test_an_empty_list_is_a_list(get):
    answer = get("models")
    assert (answer.status_code, answer.json()["data"], answer.json()["first_id"]) == (200, [], None)


@pytest.mark.parametrize(
    "turn_off",
    [
        lambda: Model.objects.update(is_active=False),
        lambda: Provider.objects.update(is_active=False),
        lambda: Route.objects.update(is_active=False),
        lambda: Route.objects.update(is_listed=False),
        lambda: Route.objects.all().delete(),
    ],
)
def test_what_cannot_be_called_does_not_exist(get, turn_off):
    make_model("m")
    turn_off()
    assert ids(get("models")) == []
    for path in ("models/m", "models/catalogs/m"):
        answer = get(path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
    assert get("models/providers").json()["data"] == [] or get("models/providers").json()["data"][0]["model_count"] == 0


@pytest.mark.parametrize("prefix", ["models", "models/catalogs"])
@pytest.mark.parametrize("path", ["org/sub/m", "org%2Fsub%2Fm", "org%2fsub/m"])
def test_an_id_may_hold_slashes_plain_or_escaped(get, prefix, path):
    make_model("org/sub/m")
    assert get(f"{prefix}/{path}").json()["id"] == "org/sub/m"


def test_an_unknown_model_is_not_found_by_name(get):
    error = get("models/nobody/knows").json()["error"]
    assert (error["type"], error["code"], error["param"]) == ("not_found_error", "model_not_found", "model")
    assert "'nobody/knows'" in error["message"]


def test_a_strangers_models_do_not_exist(get):
    theirs, their_headers = make_tenant("b")
    make_model("secret", provider=provider_at("http://gpu/v1", organization=theirs))
    assert ids(get("models", their_headers)) == ["secret"]
    assert ids(get("models")) == []
    assert get("models/secret").status_code == get("models/catalogs/secret").status_code == 404
    assert get("models/providers").json()["data"] == []


def test_an_alias_is_a_model_of_its_own_name(get):
    model = make_model("meta/llama-3", owned_by="meta")
    ModelAlias.objects.create(alias="gpt-4o", model=model)
    assert ids(get("models")) == ["gpt-4o", "meta/llama-3"]
    answer = get("models/gpt-4o").json()
    assert (answer["id"], answer["owned_by"]) == ("gpt-4o", "meta")


def test_an_alias_of_what_cannot_be_called_is_not_listed(get):
    ModelAlias.objects.create(alias="gpt-4o", model=make_model("m", is_active=False))
    assert ids(get("models")) == []


def test_a_name_shows_what_a_call_to_it_reaches(organization):
    own_provider = provider_at("http://gpu/v1", organization=organization)
    own = make_model("own", provider=own_provider)
    for name in ("both", "alias-of-own", "own"):
        make_model(name)
    both = make_model("both", provider=own_provider)
    ModelAlias.objects.create(alias="alias-of-own", model=own, organization=organization)
    ModelAlias.objects.create(alias="twice", model=own, organization=organization)
    ModelAlias.objects.create(alias="twice", model=Model.objects.get(model_id="both", organization=None))
    listed = {each.name: each.model for each in callable_models(organization.pk)}
    assert listed == {"alias-of-own": own, "both": both, "own": own, "twice": own}
    table = load_table()
    reached = {**table[None], **table[organization.pk]}
    assert {name: target.provider_id for name, target in reached.items()} == dict.fromkeys(listed, own_provider.pk)


def test_a_catalog_entry_says_what_is_supported(get):
    model = make_model("m", supported_parameters={"names": ["temperature"], "default": {"temperature": 0.7}})
    entry = get("models/catalogs/m").json()
    assert entry["supported_parameters"] == {"names": ["temperature"], "default": {"temperature": 0.7}}
    assert (entry["id"], entry["object"], entry["active"]) == ("m", "model.catalog", True)
    assert entry["created_at"] == model.created_at.isoformat().replace("+00:00", "Z")


def test_a_catalog_entry_of_a_model_nobody_described_has_empty_parameters(get):
    make_model("m")
    assert get("models/catalogs/m").json()["supported_parameters"] == {"names": [], "default": {}}


def test_providers_are_shown_without_credential_address_or_errors(get):
    provider = provider_at("http://10.0.0.7:8000/v1", name="gpu-1", last_error="boom at 10.0.0.7")
    provider.credential = "sk-provider-0123456789"
    provider.save()
    make_model("a", provider=provider)
    make_model("b", provider=provider, is_active=False)
    answer = get("models/providers")
    assert answer.json()["data"] == [
        {
            "id": provider.public_id,
            "object": "provider",
            "name": "gpu-1",
            "kind": "vllm",
            "active": True,
            "model_count": 1,
        }
    ]
    for secret in ("10.0.0.7", "boom", "sk-provider", "6789"):
        assert secret not in answer.content.decode()


def test_the_demo_is_labelled_wherever_it_appears(get, settings):
    settings.INFERENCE_MODEL_URL, settings.DISCOVER_PROVIDERS = "", False
    register_at_start()
    [listed] = get("models").json()["data"]
    assert listed == get("models/jan-demo").json()
    assert (listed["is_demo"], listed["display_name"]) == (True, "Jan demo (built-in, not a real model)")
    assert get("models/catalogs/jan-demo").json()["is_demo"] is True
    assert get("models/providers").json()["data"][0]["kind"] == ProviderKind.DEMO


@pytest.mark.parametrize("path", ["models", "models/m", "models/catalogs/m", "models/providers"])
def test_nobody_reads_models_without_a_credential(client, path):
    make_model("m")
    assert client.get(f"/v1/{path}").status_code == 401


def test_a_setting_opens_the_platforms_models_to_everybody(client, settings, organization):
    settings.PUBLIC_MODEL_LIST = True
    make_model("open")
    make_model("closed", provider=provider_at("http://gpu/v1", organization=organization))
    assert ids(client.get("/v1/models")) == ["open"]
    assert client.get("/v1/models/open").status_code == 200
    assert client.get("/v1/models/closed").status_code == 404
    assert client.get("/v1/models/providers").status_code == 401
    assert client.get("/v1/models", headers={"X-API-Key": "sk_wrong"}).status_code == 401


def test_a_list_takes_three_queries_however_long_it_is(organization, django_assert_num_queries):
    for number in range(30):
        ModelAlias.objects.create(alias=f"alias-{number}", model=make_model(f"m{number}"))
    with django_assert_num_queries(3):  # models, their routes with providers, aliases
        assert len(callable_models(organization.pk)) == 60
