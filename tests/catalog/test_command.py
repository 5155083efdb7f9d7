import io
import sys

import pytest
from django.core.management import CommandError, call_command

from apps.catalog.models import Model, Provider
from apps.catalog.services import register_at_start
from tests.catalog.conftest import make_tenant, provider_at

pytestmark = pytest.mark.django_db
SECRET = "sk-provider-0123456789"


def provider(*words):
    out = io.StringIO()
    call_command("provider", *words, stdout=out)
    return out.getvalue()


def test_add_registers_a_provider_and_reads_its_models(server):
    server.list("a", "b")
    words = ("--name", "gpu-1", "--kind", "vllm", "--base-url", server.base_url, "--api-key", SECRET)
    text = provider("add", *words, "--enable-models")
    added = Provider.objects.get()
    assert text == f"Added {added.public_id}.\nModels: 2 added, 0 known, 0 gone.\n"
    assert (added.name, added.kind, added.credential, added.organization) == ("gpu-1", "vllm", SECRET, None)
    assert Model.objects.filter(is_active=True).count() == 2
    assert server.seen == [("/v1/models", f"Bearer {SECRET}")]


def test_a_key_can_come_from_standard_input_and_a_provider_belong_to_an_organization(server, monkeypatch):
    organization, _ = make_tenant("a")
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{SECRET}\n"))
    provider(
        "add", "--name", "x", "--base-url", server.base_url, "--api-key", "-", "--organization", organization.public_id
    )
    added = Provider.objects.get()
    assert (added.credential, added.organization, added.kind) == (SECRET, organization, "custom")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("add", "--name", "x", "--base-url", "gpu"), "base URL must be"),
        (("add", "--name", "gpu-1", "--base-url", "http://gpu/v1"), "already is a provider"),
        (("add", "--name", "x", "--base-url", "http://gpu/v1", "--organization", "org_0"), "no organization org_0"),
        (("sync", "nobody"), "no provider nobody"),
        (("sync", "Built-in demo"), "no provider Built-in demo"),
        (("test", "gpu-1"), "cannot be reached"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(words, problem, settings):
    settings.INFERENCE_MODEL_URL, settings.DISCOVER_PROVIDERS = "", False
    register_at_start()
    provider_at("http://127.0.0.1:1/v1")
    with pytest.raises(CommandError, match=problem):
        provider(*words)
    assert Provider.objects.count() == 2


def test_a_name_two_providers_have_is_not_guessed_about(server):
    organization, _ = make_tenant("a")
    provider_at("http://127.0.0.1:1/v1", organization=organization)
    wanted = provider_at(server.base_url)
    with pytest.raises(CommandError, match="2 providers named gpu-1"):
        provider("sync", "gpu-1")
    assert provider("sync", wanted.public_id) == "Models: 0 added, 0 known, 0 gone.\n"


def test_list_shows_no_credentials():
    organization, _ = make_tenant("a")
    kept = provider_at("http://gpu/v1", organization=organization, is_active=False)
    kept.credential = SECRET
    kept.save()
    assert provider("list") == f"{kept.public_id}  gpu-1  vllm  http://gpu/v1  inactive  {organization.public_id}\n"


def test_test_says_how_it_went(server):
    server.list("a")
    provider_at(server.base_url)
    assert provider("test", "gpu-1").startswith("It answers and lists 1 models. (")
