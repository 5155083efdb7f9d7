"""Requests that Django does not read are the caller's mistake, and said to be one."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import User

pytestmark = pytest.mark.django_db
MANY = "&".join(f"a{number}=1" for number in range(1001))
FORM = "application/x-www-form-urlencoded"
PAGES = ("/accounts/login/", "/accounts/signup/", "/admin/login/")


@pytest.fixture
def browser() -> Client:
    """A browser that has seen a form, as the token's check wants it."""
    browser = Client(raise_request_exception=False, enforce_csrf_checks=True)
    browser.cookies["jan_csrf"] = "a" * 32
    return browser


def error_of(answer: Any) -> tuple[int, str, str]:
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "code", "param", "request_id"}
    return answer.status_code, error["type"], error["code"]


@pytest.mark.parametrize("route", ["guest-login", "google/login", "callback", "google/callback", "login", "me"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_api_refuses_too_many_parameters(browser: Client, method: str, route: str):
    answer = browser.generic(method, f"/v1/auth/{route}?{MANY}")
    assert error_of(answer) == (400, "invalid_request_error", "too_many_parameters")
    assert not User.objects.exists()


@pytest.mark.parametrize("page", PAGES)
def test_a_page_refuses_too_many_fields(browser: Client, page: str):
    answer = browser.generic("POST", page, MANY, FORM)
    assert (answer.status_code, answer["Content-Type"]) == (400, "text/html; charset=utf-8")
    assert b"Nothing was changed" in answer.content


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("charset", ["utf-16", "zip", "idna", "latin-1"])
def test_a_page_refuses_forms_in_other_encodings(browser: Client, page: str, charset: str):
    answer = browser.generic("POST", page, b"login=ada", f"{FORM}; charset={charset}")
    assert (answer.status_code, answer["Content-Type"]) == (400, "text/html; charset=utf-8")
    assert b"Nothing was changed" in answer.content


@pytest.mark.parametrize("page", PAGES)
def test_a_page_refuses_broken_uploads(browser: Client, page: str):
    answer = browser.generic("POST", page, b"login=ada", "multipart/form-data")
    assert (answer.status_code, answer["Content-Type"]) == (400, "text/html; charset=utf-8")


@pytest.mark.parametrize("path", ["/v1/auth/guest-login", "/llm/auth/guest-login", "/healthz", "/v1/models"])
def test_the_api_refuses_another_servers_name_in_its_own_shape(
    browser: Client, path: str, caplog: pytest.LogCaptureFixture
):
    answer = browser.generic("POST", path, headers={"host": "evil.example"})
    assert error_of(answer) == (400, "invalid_request_error", "invalid_host")
    assert [record for record in caplog.records if record.levelno >= logging.ERROR or record.exc_info] == []
    assert not User.objects.exists()


def test_a_page_refuses_another_servers_name_with_a_page(browser: Client, caplog: pytest.LogCaptureFixture):
    answer = browser.get("/accounts/login/", headers={"host": "evil.example"})
    assert (answer.status_code, answer["Content-Type"]) == (400, "text/html; charset=utf-8")
    assert b"Nothing was changed" in answer.content
    assert [record for record in caplog.records if record.levelno >= logging.ERROR or record.exc_info] == []
