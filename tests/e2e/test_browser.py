"""What a person does: sign in, connect a provider, enable a model, make a key, chat with it, try the API in Swagger."""

from __future__ import annotations

import json
import shutil

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.provider import Provider
from tests.server import OPERATOR, Server, start_server

CHROMIUM = shutil.which("chromium")
FLAGS = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync"
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed; .ci/run installs it"),
]


@pytest.fixture(scope="module")
def server(provider: Provider):
    """A server that knows no provider yet."""
    with start_server(provider, profile="sqlite", JAN_INFERENCE_MODEL_URL="") as running:
        yield running


@pytest.fixture
def page(server: Server):
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        page = browser.new_page(base_url=server.base_url)
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("response", lambda answer: complaints.append(answer.url) if answer.status == 404 else None)
        page.on("request", lambda request: complaints.append(request.url) if _is_outside(request.url, server) else None)
        yield page
        browser.close()
        assert complaints == []


def _is_outside(url: str, server: Server) -> bool:
    return not url.startswith((server.base_url, "data:", "blob:", "about:"))


def sign_in(page: Page) -> None:
    page.goto("/admin/")
    page.fill("input[name=login]", OPERATOR[0])
    page.fill("input[name=password]", OPERATOR[1])
    page.click("button[type=submit]")
    expect(page.get_by_text("Requests per hour")).to_be_visible()


def test_from_nothing_to_a_chat(server: Server, provider: Provider, page: Page):
    sign_in(page)

    page.goto("/admin/catalog/provider/add/")
    page.fill("input[name=name]", "gpu-1")
    page.select_option("select[name=kind]", "vllm")
    page.fill("input[name=base_url]", provider.base_url)
    page.fill("input[name=credential]", "sk-provider-secret-1234")
    page.click("button[name=_save]")
    expect(page.get_by_text("models added")).to_be_visible()
    assert "sk-provider-secret-1234" not in page.content()

    page.goto("/admin/catalog/model/?q=plain")
    page.click("text=plain >> nth=0")
    page.locator("input[name=is_active]").set_checked(True, force=True)
    page.click("button[name=_save]")
    expect(page.get_by_text("was changed successfully")).to_be_visible()

    page.goto("/admin/api_keys/apikey/add/")
    page.select_option("select[name=kind]", "project")
    page.fill("input[name=name]", "first")
    for field, text in (("project", "Default project"), ("user", OPERATOR[0])):
        page.click(f"#select2-id_{field}-container")
        page.locator(".select2-results__option", has_text=text).first.click()
    page.click("button[name=_save]")
    secret = page.locator("#secret").text_content() or ""
    assert secret.startswith("jan_pk_")

    body = {"model": "plain", "messages": [{"role": "user", "content": "hi"}]}
    answer = server.call("POST", "/v1/chat/completions", body, x_api_key=secret)
    assert answer["choices"][0]["message"]["content"] == "word word word word word "

    page.goto("/admin/api_keys/apikey/")
    assert secret not in page.content()
    expect(page.get_by_text(f"…{secret[-4:]}")).to_be_visible()


@pytest.mark.parametrize("stream", [False, True])
def test_swaggers_try_it_out_answers(server: Server, page: Page, stream: bool):
    token = server.guest_token()
    page.goto("/api/swagger/index.html")
    page.click("button.authorize")
    page.locator(".auth-container", has_text="bearer").locator("input").fill(token)
    page.locator(".auth-container", has_text="bearer").locator("button.authorize").click()
    page.click("button.btn-done")
    page.click("#operations-Inference-createChatCompletion")
    block = page.locator("#operations-Inference-createChatCompletion")
    models = server.call("GET", "/v1/models", authorization=f"Bearer {token}")["data"]
    body = {"model": models[0]["id"], "stream": stream, "messages": [{"role": "user", "content": "hi"}]}
    block.locator("textarea").fill(json.dumps(body))
    block.locator("button.execute").click()
    expect(block.locator(".live-responses-table tbody .response-col_status").first).to_contain_text("200")
    expect(block.locator(".live-responses-table")).to_contain_text("data: [DONE]" if stream else "chat.completion")
