from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager

import pytest
from django.core.management import call_command

from apps.core.egress import fetch, judge
from apps.core.errors import BadRequest, UpstreamFailed

FORBIDDEN = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.254", "127.0.0.1", "127.1.2.3",
    "169.254.169.254", "169.254.0.1", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.192", "192.0.2.1",
    "192.88.99.1", "192.168.0.1", "192.168.255.255", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1",
    "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "::", "::1", "::ffff:127.0.0.1",
    "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1", "100::1",
    "2001::1", "2001:db8::1", "2002:7f00:1::", "2002:a00:1::1", "fc00::1", "fd00::1", "fd12:3456::1", "fe80::1",
    "fe80::1%eth0", "fec0::1", "ff02::1", "ff0e::1",
]  # fmt: skip
ALLOWED = ["1.1.1.1", "8.8.8.8", "93.184.216.34", "2606:4700:4700::1111", "::ffff:8.8.8.8"]


@pytest.mark.parametrize("address", FORBIDDEN)
def test_addresses_of_hosts_networks_and_nobody_are_not_dialled(address):
    assert not judge(address).allowed


@pytest.mark.parametrize("address", ALLOWED)
def test_public_addresses_are(address):
    assert judge(address).allowed


@pytest.fixture
def canary():
    """A listener on loopback that must not be reached."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "localhost", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0", "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]", "127.0.0.1.", "named.test",
    ],
)  # fmt: skip
async def test_no_spelling_of_loopback_is_reached(settings, canary, host):
    settings.EGRESS_RESOLVER = {"named.test": "127.0.0.1"}
    with pytest.raises((BadRequest, UpstreamFailed)):
        await fetch("GET", f"http://{host}:{canary.getsockname()[1]}/")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://1.1.1.1/",
        "file:///etc/passwd",
        "http://user:pass@1.1.1.1/",
        "http://1.1.1.1\\@127.0.0.1/",
        "http:///x",
        "x",
    ],
)
async def test_only_plain_http_urls_are_called(url):
    with pytest.raises(BadRequest) as refusal:
        await fetch("GET", url)
    assert refusal.value.code == "url_forbidden"


@asynccontextmanager
async def public_server(wire: bytes, settings):
    """A server that counts as public, answering every request with `wire`."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(wire)
        writer.close()

    settings.EGRESS_EXTRA_PUBLIC = ["127.0.7.0/24"]
    settings.EGRESS_RESOLVER = {"public.test": "127.0.7.1"}
    async with await asyncio.start_server(serve, "127.0.7.1", 0) as server:
        yield f"http://public.test:{server.sockets[0].getsockname()[1]}/"


async def test_a_public_address_answers_and_its_redirect_is_not_followed(settings, canary):
    target = f"http://127.0.0.1:{canary.getsockname()[1]}/"
    wire = f"HTTP/1.1 302 X\r\nlocation: {target}\r\ncontent-length: 2\r\n\r\nhi".encode()
    async with public_server(wire, settings) as url:
        answer = await fetch("GET", url)
    assert (answer.status, answer.body) == (302, b"hi")


async def test_a_body_is_bounded(settings):
    async with public_server(b"HTTP/1.1 200 X\r\ncontent-length: 4000\r\n\r\n" + b"x" * 4000, settings) as url:
        with pytest.raises(UpstreamFailed):
            await fetch("GET", url, max_bytes=1000)


async def test_an_operators_word_opens_this_network_and_changes_nothing_else(settings, canary):
    redirect = f"http://127.0.0.1:{canary.getsockname()[1]}/"
    wire = f"HTTP/1.1 302 X\r\nlocation: {redirect}\r\ncontent-length: 2000\r\n\r\n".encode() + b"x" * 2000
    async with public_server(wire, settings) as url:
        settings.EGRESS_EXTRA_PUBLIC = []
        with pytest.raises(BadRequest):
            await fetch("GET", url)
        assert (await fetch("GET", url, operators_word=True)).status == 302
        with pytest.raises(UpstreamFailed):
            await fetch("GET", url, operators_word=True, max_bytes=1000)
        with pytest.raises(BadRequest):
            await fetch("GET", "file:///etc/passwd", operators_word=True)


def test_egress_check_explains_and_connects_to_nothing(canary, capsys):
    call_command("egress_check", f"http://127.0.0.1:{canary.getsockname()[1]}/")
    assert capsys.readouterr().out == "deny 127.0.0.1 -> 127.0.0.1: not a public address\n"
