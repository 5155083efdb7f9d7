"""
Identity providers on real sockets: `oidc-provider-mock`, and one that says whatever a test tells it to.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from tests.jwt_corpus import Signer, rsa_signer, sign

READY_SECONDS = 20.0


@contextmanager
def mock_provider() -> Iterator[str]:
    """Run `oidc-provider-mock` and yield its issuer."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [sys.executable, "-m", "oidc_provider_mock", "--host", "localhost", "--port", str(port)]
    env = {**os.environ, "AUTHLIB_INSECURE_TRANSPORT": "1"}
    server = subprocess.Popen(words, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    issuer = f"http://localhost:{port}"
    try:
        _wait_until_up(issuer)
        yield issuer
    finally:
        server.terminate()
        server.wait()


def _wait_until_up(issuer: str) -> None:
    limit = time.monotonic() + READY_SECONDS
    while True:
        try:
            urllib.request.urlopen(f"{issuer}/.well-known/openid-configuration", timeout=5).close()
            return
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > limit:
                raise
            time.sleep(0.05)


def put_user(issuer: str, sub: str, **claims: Any) -> None:
    """Tell the mock who somebody is."""
    request = urllib.request.Request(
        f"{issuer}/users/{urllib.parse.quote(sub)}",
        data=json.dumps(claims).encode(),
        method="PUT",
        headers={"content-type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=10).close()


class _NotFollowed(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def answer_at(authorization_url: str, sub: str | None) -> dict[str, str]:
    """Do what a person does at the mock: authorize as `sub`, or deny. Returns what it sends back in the query."""
    form = {"sub": sub} if sub is not None else {"action": "deny"}
    opener = urllib.request.build_opener(_NotFollowed)
    try:
        answer = opener.open(authorization_url, data=urllib.parse.urlencode(form).encode(), timeout=10)
    except urllib.error.HTTPError as redirect:
        answer = redirect
    with contextlib.closing(answer):
        assert answer.status == 302, answer.read()
        return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(answer.headers["location"]).query))


class ScriptedIssuer:
    """
    An issuer that publishes `keys` and answers every code with an ID token of `claims`.

    `id_token` replaces the token as a whole, `is_down` lets every request fail, `asked` are the paths
    that were requested. While `is_open` is cleared, requests wait,
    which sets `is_waited_for`.
    """

    def __init__(self) -> None:
        self.signer: Signer = rsa_signer("first")
        self.keys: list[dict[str, Any]] = [self.signer.public_jwk]
        self.claims: dict[str, Any] = {}
        self.metadata: dict[str, Any] = {}
        self.id_token: str | None = None
        self.userinfo: dict[str, Any] = {}
        self.is_down = False
        self.is_open = threading.Event()
        self.is_open.set()
        self.is_waited_for = threading.Event()
        self.asked: list[str] = []
        self.forms: list[dict[str, str]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.is_open.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def access_token(self, signer: Signer | None = None, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """A good one, but for what is given; a claim that is None is left out."""
        signer = signer or self.signer
        now = int(time.time())
        given = {"iss": self.issuer, "sub": "u-1", "aud": "jan", "iat": now, "exp": now + 300, **claims}
        head = {"alg": signer.algorithm, "kid": signer.kid, "typ": "JWT"} if header is None else header
        return sign(head, {name: value for name, value in given.items() if value is not None}, signer)

    def _documents(self) -> dict[str, Any]:
        endpoints = {f"{name}_endpoint": f"{self.issuer}/{name}" for name in ("authorization", "token", "userinfo")}
        return {
            "/.well-known/openid-configuration": {
                "issuer": self.issuer,
                **endpoints,
                "jwks_uri": f"{self.issuer}/jwks",
                **self.metadata,
            },
            "/jwks": {"keys": self.keys},
            "/userinfo": self.userinfo,
        }

    def _tokens(self, form: dict[str, str]) -> dict[str, Any]:
        self.forms.append(form)
        now = int(time.time())
        claims = {"iss": self.issuer, "iat": now, "exp": now + 300, **self.claims}
        header = {"alg": self.signer.algorithm, "kid": self.signer.kid}
        return {"access_token": "opaque", "id_token": self.id_token or sign(header, claims, self.signer)}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked.append(self.path)
                if not issuer.is_open.is_set():
                    issuer.is_waited_for.set()
                issuer.is_open.wait()
                self._answer(issuer._documents().get(self.path))

            def do_POST(self) -> None:
                issuer.asked.append(self.path)
                text = self.rfile.read(int(self.headers["content-length"])).decode()
                form = dict(urllib.parse.parse_qsl(text))
                form["authorization"] = self.headers.get("authorization", "")
                self._answer(issuer._tokens(form) if form["code"] != "unknown" else None)

            def _answer(self, document: Any) -> None:
                body = json.dumps(document).encode()
                self.send_response(500 if issuer.is_down else 400 if document is None else 200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        return Handler
