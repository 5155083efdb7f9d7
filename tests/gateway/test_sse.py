import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.errors import UpstreamFailed
from apps.gateway import sse
from apps.gateway.sse import EventReader, write_events


@pytest.mark.parametrize(
    ("wire", "payloads"),
    [
        (b'data: {"a":1}\n\n', [b'{"a":1}']),
        (b'data:{"a":1}\n\n', [b'{"a":1}']),
        (b'data: {"a":1}\r\n\r\n', [b'{"a":1}']),
        (b'data: {"a":1}\r\r', [b'{"a":1}']),
        (b'id: 7\nretry: 10\nevent: x\ndata: {"a":1}\n\n', [b'{"a":1}']),
        (b": ping\n\n", []),
        (b": a\n: b\ndata: x\n\n", [b"x"]),
        (b"data: {\ndata: }\n\n", [b"{ }"]),
        (b"data:\n\n", []),
        (b"data: \n\n", []),
        (b"\n\n\n\ndata: x\n\n", [b"x"]),
        (b"data: x\n\ndata: y\n\n", [b"x", b"y"]),
        (b"data: x\n\ndata: y", [b"x"]),
        (b"event: done\n\n", []),
    ],
)
def test_payloads_are_read_by_the_standard(wire, payloads):
    assert EventReader().feed(wire) == payloads


@given(st.lists(st.integers(min_value=1, max_value=9), max_size=60), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_where_the_network_cuts_does_not_matter(cuts, newline):
    wire = b'data: {"t":"h\xc3\xa9"}\n\n: c\n\nid: 3\ndata: two\ndata: lines\n\ndata: [DONE]\n\n'.replace(
        b"\n", newline
    )
    reader, got, at = EventReader(), [], 0
    for cut in cuts:
        got += reader.feed(wire[at : at + cut])
        at += cut
    got += reader.feed(wire[at:])
    assert got == ['{"t":"hé"}'.encode(), b"two lines", b"[DONE]"]
    assert reader.is_between_events


def test_an_event_without_an_end_is_given_up(monkeypatch):
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 100)
    with pytest.raises(UpstreamFailed):
        EventReader().feed(b"data: " + b"x" * 200)


def test_written_events_read_back():
    assert write_events([b"a", b"b"]) == b"data: a\n\ndata: b\n\n"
    assert EventReader().feed(write_events([b"a", b"b"])) == [b"a", b"b"]
