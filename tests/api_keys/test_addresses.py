"""Where a key may be used from: below the edge, at it, and over WebSocket."""

from __future__ import annotations

import ipaddress
import json
from typing import Any

import httpx2
import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st
from websockets.sync.client import connect

from apps.api_keys.addresses import are_within, common, normalized
from apps.api_keys.models import ApiKey
from apps.api_keys.tokens import KeyKind
from apps.audit.models import AuditEvent
from tests.api_keys.conftest import Caller
from tests.api_keys.test_personal_keys import KEYS, refusal
from tests.server import Server

ME = "/v1/auth/me"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (["192.0.2.7"], ["192.0.2.7"]),
        (["192.0.2.7/32", "192.0.2.7"], ["192.0.2.7"]),
        (["2001:DB8:0::1", "10.0.0.0/255.0.0.0"], ["10.0.0.0/8", "2001:db8::1"]),
        (["::ffff:192.0.2.0/120", "::ffff:192.0.2.7"], ["192.0.2.0/24", "192.0.2.7"]),
        (["::/0", "0.0.0.0/0"], ["0.0.0.0/0", "::/0"]),
        ([], []),
    ],
)
def test_addresses_have_one_spelling(given: list[str], kept: list[str]):
    assert normalized(given) == kept
    assert normalized(kept) == kept


@pytest.mark.parametrize(
    "text", ["10.0.0.5/8", "10.0.0.0/33", "10.0.0", "example.com", "", "1", "fe80::1%eth0", "١.2.3.4", "10.0.0.1 "]
)
def test_what_is_no_address_is_refused(text: str):
    with pytest.raises(ValueError, match=r".+"):
        normalized(["192.0.2.7", text])


_NETWORKS = st.builds(
    lambda number, prefix: str(ipaddress.ip_network((number & (2**32 - 2 ** (32 - prefix)), prefix))),
    st.integers(0, 2**32 - 1),
    st.integers(0, 32),
)
_LISTS = st.lists(_NETWORKS, min_size=1, max_size=5).map(normalized)


@given(_LISTS, _LISTS, st.integers(0, 2**32 - 1))
def test_what_two_lists_have_in_common_is_in_both(first: list[str], second: list[str], number: int):
    address = [str(ipaddress.IPv4Address(number))]
    both = common(first, second)
    assert are_within(address, both) is (are_within(address, first) and are_within(address, second))
    assert are_within(both, first)
    assert are_within(both, second)


def test_no_list_is_no_limit():
    assert (common(None, None), common(["10.0.0.0/8"], None), common(None, ["::1"])) == (
        None, ("10.0.0.0/8",), ("::1",),
    )  # fmt: skip
    assert common(["10.0.0.0/8"], ["192.0.2.0/24"]) == ()
    assert (are_within(["::1"], None), are_within(["::1"], ()), are_within(["::1"], ["0.0.0.0/0"])) == (
        True, False, False,
    )  # fmt: skip


def asked_from(address: str, caller: Caller) -> Any:
    return Client(REMOTE_ADDR=address).get(ME, headers={"X-API-Key": caller.secret})


@pytest.mark.parametrize(
    ("allowed", "address", "status"),
    [
        (["192.0.2.0/24"], "192.0.2.7", 200),
        (["192.0.2.0/24"], "::ffff:192.0.2.7", 200),
        (["192.0.2.0/24"], "192.0.3.7", 403),
        (["192.0.2.0/24", "2001:db8::/32"], "2001:db8::1", 200),
        (["192.0.2.0/24"], "2001:db8::1", 403),
        (["0.0.0.0/0", "::/0"], "", 403),
        (["0.0.0.0/0", "::/0"], "unknown", 403),
        ([], "", 200),
    ],
)
def test_a_key_is_used_from_where_it_may_be(ada: Caller, allowed: list[str], address: str, status: int):
    answer = asked_from(address, ada.with_key(allowed_addresses=allowed))
    assert answer.status_code == status
    if status == 403:
        assert refusal(answer) == (403, "address_not_allowed", None)


def test_a_refused_address_is_logged_and_not_audited(ada: Caller, caplog: pytest.LogCaptureFixture):
    caller = ada.with_key(allowed_addresses=["192.0.2.7"])
    before = AuditEvent.objects.count()
    assert asked_from("198.51.100.1", caller).status_code == 403
    assert AuditEvent.objects.count() == before
    assert [record.getMessage() for record in caplog.records if record.name == "jan.api_keys"] == [
        f"the key {caller.key.public_id} was refused: it may not be used from 198.51.100.1"
    ]


@pytest.mark.parametrize("kind", list(KeyKind))
def test_keys_of_every_kind_can_be_bound(ada: Caller, kind: KeyKind):
    caller = ada.with_key(kind=kind, allowed_addresses=["192.0.2.7"])
    assert [asked_from(address, caller).status_code for address in ("192.0.2.7", "192.0.2.8")] == [200, 403]


def made(caller: Caller, **fields: Any) -> Any:
    return caller.call("POST", KEYS, {"name": "k", **fields})


@pytest.mark.parametrize(
    "addresses",
    [["10.0.0.5/8"], ["x"], [""], [None], [1], [["::1"]], "::1", {"a": 1}, None, ["::1"] * 101, ["0" * 65], True],
)
def test_a_wrong_list_makes_no_key(ada: Caller, addresses: Any):
    status, code, where = refusal(made(ada, allowed_addresses=addresses))
    assert (status, code, (where or "").partition("[")[0].partition(".")[0]) == (
        400, "invalid_value", "allowed_addresses",
    )  # fmt: skip
    assert ApiKey.objects.count() == 0


def test_a_hundred_addresses_are_kept_in_one_spelling(ada: Caller):
    answer = made(ada, allowed_addresses=[f"::ffff:10.0.0.{number}" for number in range(100)])
    assert answer.json()["allowed_addresses"] == [f"10.0.0.{number}" for number in range(100)]


@pytest.mark.parametrize("kind", ["project", "ephemeral"])
@pytest.mark.parametrize(
    ("wanted", "kept"),
    [
        (None, ["127.0.0.0/8", "192.0.2.0/24"]),
        ([], ["127.0.0.0/8", "192.0.2.0/24"]),
        (["192.0.2.128/25"], ["192.0.2.128/25"]),
        (["192.0.2.0/24", "127.0.0.1"], ["127.0.0.1", "192.0.2.0/24"]),
        (["192.0.0.0/16"], None),
        (["127.0.0.1", "::1"], None),
        (["0.0.0.0/0"], None),
    ],
)
def test_a_bound_key_makes_none_that_is_less_bound(ada: Caller, kind: str, wanted: Any, kept: list[str] | None):
    maker = ada.with_key(allowed_addresses=["127.0.0.0/8", "192.0.2.0/24"])
    fields = {} if wanted is None else {"allowed_addresses": wanted}
    answer = made(maker, kind=kind, **fields)
    if kept is None:
        assert refusal(answer) == (403, "insufficient_permissions", "allowed_addresses")
        assert ApiKey.objects.get() == maker.key
    else:
        assert answer.json()["allowed_addresses"] == kept


@pytest.mark.parametrize("kind", ["project", "ephemeral"])
@pytest.mark.parametrize(
    ("wanted", "kept"), [(None, ["a", "b"]), (["b"], ["b"]), (["b", "a", "b"], ["a", "b"]), (["a", "c"], False)]
)
def test_a_key_bound_to_models_makes_none_for_others(ada: Caller, kind: str, wanted: Any, kept: Any):
    maker = ada.with_key(allowed_models=["a", "b"])
    answer = made(maker, kind=kind, allowed_models=wanted)
    if kept is False:
        assert refusal(answer) == (403, "insufficient_permissions", "allowed_models")
        assert ApiKey.objects.get() == maker.key
    else:
        assert answer.json()["allowed_models"] == kept


def test_an_ephemeral_key_is_bound_by_what_its_maker_is_bound_to_later(ada: Caller):
    maker = ada.with_key()
    made_key = made(maker, kind="ephemeral", allowed_addresses=["192.0.2.0/24"], allowed_models=["a", "b"]).json()
    short = Caller(ada.user, made_key["key"])
    assert asked_from("192.0.2.7", short).status_code == 200
    change = {"allowed_addresses": ["192.0.2.128/25", "10.0.0.0/8"], "allowed_models": ["b", "c"]}
    assert ada.call("PATCH", f"{KEYS}/{maker.key.public_id}", change).status_code == 200
    answers = {address: asked_from(address, short) for address in ("192.0.2.7", "192.0.2.200", "10.0.0.1")}
    assert {address: answer.status_code for address, answer in answers.items()} == {
        "192.0.2.7": 403, "192.0.2.200": 200, "10.0.0.1": 403,
    }  # fmt: skip
    told = ada.call("POST", "/v1/auth/validate", {"token": made_key["key"]}).json()
    assert (told["allowed_addresses"], told["allowed_models"]) == (["192.0.2.128/25"], ["b"])


SCRIPT = """
import json
from tests.api_keys.conftest import sign_up
ada = sign_up("bound@example.com")
ada.user.emailaddress_set.create(email=ada.user.email, verified=True, primary=True)
here = ["127.0.0.0/8", "::1"]
print(json.dumps([ada.with_key(allowed_addresses=at).secret for at in (here, ["192.0.2.0/24"])]))
"""


@pytest.mark.e2e
def test_the_edge_asks_for_http_and_for_websocket(live: Server):
    run = live.manage("shell", "--no-imports", "-c", SCRIPT)
    assert run.returncode == 0, run.stderr
    here, elsewhere = json.loads(run.stdout.strip().splitlines()[-1])
    hello = {"model": "plain", "messages": [{"role": "user", "content": "hi"}]}
    for path, method in (("/v1/chat/completions", "POST"), ("/v1/models", "GET"), (ME, "GET")):
        for key, status in ((here, 200), (elsewhere, 403)):
            body = hello if method == "POST" else None
            answer = httpx2.request(method, live.base_url + path, json=body, headers={"X-API-Key": key})
            assert answer.status_code == status, answer.text
            assert status == 200 or answer.json()["error"]["code"] == "address_not_allowed"
    socket = live.base_url.replace("http", "ws") + "/ws/v1/chat/completions"
    with connect(socket, additional_headers={"X-API-Key": here}) as open_socket:
        assert json.loads(open_socket.recv()) == {"type": "ready"}
    with connect(socket, additional_headers={"X-API-Key": elsewhere}) as closed:
        assert json.loads(closed.recv())["error"]["code"] == "address_not_allowed"
    with connect(socket) as later:
        later.send(json.dumps({"type": "auth", "api_key": elsewhere}))
        assert json.loads(later.recv())["error"]["code"] == "address_not_allowed"
