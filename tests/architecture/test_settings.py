import os
import re
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
READ = re.compile(r'env\.(?:str|int|float|bool|list|dict)\(\s*"([A-Z0-9_]+)"')


def test_the_example_names_exactly_the_settings_that_are_read():
    sources = (ROOT / "janserver/settings").glob("*.py")
    read = {name for source in sources for name in READ.findall(source.read_text())}
    listed = set(re.findall(r"^([A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.M))
    assert read - listed == set(), "read, and not in .env.example"
    assert listed - read == set(), "in .env.example, and not read"


def production(**changes: str) -> dict[str, str]:
    env = {
        "PATH": os.environ["PATH"],
        "DJANGO_SETTINGS_MODULE": "janserver.settings.production",
        "SECRET_KEY": secrets.token_urlsafe(50),
        "APIKEY_SECRET": secrets.token_urlsafe(40),
        "MODEL_PROVIDER_SECRET": secrets.token_urlsafe(40),
        "JWT_PRIVATE_KEY": "-----BEGIN PRIVATE KEY-----",
        "JAN_PUBLIC_URL": "https://jan.example.org",
        "DATABASE_URL": "postgres://jan:jan@127.0.0.1:1/jan",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "JAN_OPERATOR_MFA": "true",
        "SMTP_HOST": "smtp.example.org",
    }
    return {**env, **changes}


def check_deploy(env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    return subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_safe_production_settings_pass_the_deployment_check():
    checked = check_deploy(production())
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"SECRET_KEY": "changeme"}, "SECRET_KEY is short or a placeholder"),
        ({"APIKEY_SECRET": "your-api-key-secret-0123456789abcdefgh"}, "APIKEY_SECRET is short or a placeholder"),
        ({"MODEL_PROVIDER_SECRET": "short"}, "MODEL_PROVIDER_SECRET is short or a placeholder"),
        ({"JWT_SECRET": "changeme"}, "JWT_SECRET is short or a placeholder"),
        ({"JWT_PRIVATE_KEY": ""}, "Neither JWT_PRIVATE_KEY nor JWT_SECRET is set"),
        ({"JAN_OPERATOR_MFA": "false"}, "JAN_OPERATOR_MFA is off"),
        ({"SMTP_HOST": ""}, "JAN_SIGNUP is open and SMTP_HOST is not set"),
        ({"JAN_SIGNUP": "anyone"}, "JAN_SIGNUP is 'anyone': set it to one of open, invitation, closed."),
        ({"SMTP_SECURITY": "ssl"}, "SMTP_SECURITY is 'ssl': set it to one of starttls, tls, none."),
        ({"INVITE_REDIRECT_URL": "app.example.com/invite"}, "INVITE_REDIRECT_URL: set it to a whole http or https"),
        ({"INVITE_REDIRECT_URL": "https://app.example.com/#/invite"}, "INVITE_REDIRECT_URL: set it to a whole http"),
        ({"ALLOWED_HOSTS": "*"}, "ALLOWED_HOSTS is *"),
        ({"ALLOWED_CORS_HOSTS": "*"}, "ALLOWED_CORS_HOSTS is *"),
        ({"JAN_PUBLIC_URL": "http://jan.example.org"}, "JAN_PUBLIC_URL is not https"),
        ({"DATABASE_URL": "sqlite:////tmp/x.sqlite3"}, "The database is SQLite"),
        ({"REDIS_URL": ""}, "REDIS_URL is not set"),
        ({"EGRESS_EXTRA_PUBLIC": "127.0.7.0/24"}, "are for tests"),
    ],
)
def test_an_unsafe_production_start_is_refused_and_says_what_to_change(change, sentence):
    checked = check_deploy(production(**change))
    assert checked.returncode != 0
    assert sentence in checked.stderr


def test_a_missing_secret_has_no_default():
    env = production()
    del env["APIKEY_SECRET"]
    checked = check_deploy(env)
    assert checked.returncode != 0
    assert "APIKEY_SECRET" in checked.stderr
