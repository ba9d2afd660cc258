"""What benchmarks send is what they say: messages made by hand are protobuf, and what is missing is said."""

import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import enrich
from bench.http2 import FRAME_BYTES
from bench.http2_streams import items_in, message_of
from bench.sampler import _kernel_s, _look
from issuernetwork.v1 import enrichment_pb2


def sent(frames: bytes) -> bytes:
    """The message that DATA frames carry (RFC 9113 4.1), behind its prefix."""
    content, at = b"", 0
    while at < len(frames):
        size = int.from_bytes(frames[at : at + 3], "big")
        assert size <= FRAME_BYTES
        content += frames[at + 9 : at + 9 + size]
        at += 9 + size
    assert int.from_bytes(content[1:5], "big") == len(content) - 5
    return content[5:]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=9_000), min_size=1, max_size=6))
def test_a_message_of_a_stream_is_what_protobuf_reads(names: list[str]) -> None:
    requests = [enrichment_pb2.EnrichAuthorizationRequest(request_id=name) for name in names]
    message = sent(message_of([request.SerializeToString() for request in requests]))
    read = enrichment_pb2.StreamEnrichAuthorizationsRequest.FromString(message)
    assert [item.request for item in read.items] == requests


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=300), max_size=40))
def test_answers_are_counted_as_many_as_there_are(names: list[str]) -> None:
    answer = enrichment_pb2.StreamEnrichAuthorizationsResponse()
    for name in names:
        answer.items.add(request_id=name)
    assert items_in(answer.SerializeToString()) == len(names)


def test_an_echo_in_node_that_cannot_run_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(enrich, "ROOT", tmp_path)
    assert enrich.node_is_missing()
    with enrich.node_reference(b"") as address:
        assert address == ""


def test_the_sampler_finds_a_thread_in_the_function_that_it_is_in() -> None:
    ready, end = threading.Event(), threading.Event()

    def stays() -> None:
        ready.set()
        while not end.is_set():
            pass

    thread = threading.Thread(target=stays, name="looked-at")
    thread.start()
    try:
        assert ready.wait(10)
        found: dict[str, dict[str, object]] = {}
        _look(found)  # type: ignore[arg-type]
        assert "looked-at" in _kernel_s()
    finally:
        end.set()
        thread.join()
    within = found["looked-at"]["within"]
    assert any(str(name).endswith("<locals>.stays") for name in within)  # type: ignore[attr-defined]
