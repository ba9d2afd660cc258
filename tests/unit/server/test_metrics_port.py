"""The port of the metrics: clear as it was, or with TLS, and then for holders of certificates alone."""

import http.client
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter

from gateway.runtime.clock import SystemClock
from gateway.runtime.entropy import SystemEntropy
from gateway.server.dev_ca import DevCa, Issued
from gateway.server.metrics_port import CONNECTIONS_MAX, REQUEST_S, serve_metrics
from gateway.server.tls import Tls

TIMEOUT_S = 10.0


@pytest.fixture
def ca(tmp_path: Path) -> DevCa:
    return DevCa(tmp_path / "ca", SystemClock(), SystemEntropy())


@pytest.fixture
def closing() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def registry() -> CollectorRegistry:
    found = CollectorRegistry()
    Counter("ein_canary", "One.", registry=found).inc()
    return found


def scrape(address: str, context: ssl.SSLContext | None = None) -> str:
    host, _, port = address.rpartition(":")
    connection: http.client.HTTPConnection
    if context is None:
        connection = http.client.HTTPConnection(host, int(port), timeout=TIMEOUT_S)
    else:
        connection = http.client.HTTPSConnection(host, int(port), timeout=TIMEOUT_S, context=context)
    try:
        connection.request("GET", "/metrics")
        reply = connection.getresponse()
        assert reply.status == 200
        return reply.read().decode()
    finally:
        connection.close()


def trusting(ca: DevCa, shown: Issued | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(ca.certificate))
    if shown is not None:
        context.load_cert_chain(shown.certificate, shown.key)
    return context


def test_without_tls_they_are_clear(closing: ExitStack) -> None:
    address = serve_metrics("127.0.0.1:0", registry(), closing)
    assert "ein_canary_total 1.0" in scrape(address)


def test_with_tls_nothing_is_told_in_clear(ca: DevCa, closing: ExitStack) -> None:
    ours = ca.server(["127.0.0.1"])
    address = serve_metrics("127.0.0.1:0", registry(), closing, Tls(ours.certificate, ours.key, None))
    assert "ein_canary_total 1.0" in scrape(address, trusting(ca))
    with pytest.raises((http.client.HTTPException, OSError)):
        scrape(address)


def test_with_an_authority_of_clients_its_certificates_alone_read_them(
    ca: DevCa, closing: ExitStack, tmp_path: Path
) -> None:
    ours, mine = ca.server(["127.0.0.1"]), ca.client("prometheus", "urn:ein:caller:prometheus")
    stranger = DevCa(tmp_path / "other", SystemClock(), SystemEntropy()).client("x", "urn:ein:caller:x")
    address = serve_metrics(
        "127.0.0.1:0", registry(), closing, Tls(ours.certificate, ours.key, ca.certificate)
    )
    assert "ein_canary_total 1.0" in scrape(address, trusting(ca, mine))
    for shown in (None, stranger):
        with pytest.raises((http.client.HTTPException, OSError)):
            scrape(address, trusting(ca, shown))


def test_who_says_nothing_holds_up_nobody_else(ca: DevCa, closing: ExitStack) -> None:
    ours = ca.server(["127.0.0.1"])
    address = serve_metrics("127.0.0.1:0", registry(), closing, Tls(ours.certificate, ours.key, None))
    host, _, port = address.rpartition(":")
    silent = [closing.enter_context(socket.create_connection((host, int(port)), TIMEOUT_S)) for _ in range(3)]
    assert "ein_canary_total 1.0" in scrape(address, trusting(ca))
    assert len(silent) == 3


def test_what_comes_beyond_the_limit_is_closed_and_a_place_is_given_back(closing: ExitStack) -> None:
    address = serve_metrics("127.0.0.1:0", registry(), closing)
    host, _, port = address.rpartition(":")
    silent = [socket.create_connection((host, int(port)), TIMEOUT_S) for _ in range(CONNECTIONS_MAX)]
    # Before the time is up after which silence ends a connection by itself.
    with socket.create_connection((host, int(port)), REQUEST_S / 2) as beyond:
        assert beyond.recv(1) == b""
    for one in silent:
        one.close()
    assert "ein_canary_total 1.0" in scraped_in_time(address)


def scraped_in_time(address: str) -> str:
    """As soon as the threads that had the places saw that nobody is there."""
    until_s = time.monotonic() + REQUEST_S / 2
    while True:
        try:
            return scrape(address)
        except (http.client.HTTPException, OSError):
            if time.monotonic() >= until_s:
                raise


def test_new_certificates_serve_the_next_scrape_and_spoilt_ones_change_nothing(
    ca: DevCa, closing: ExitStack
) -> None:
    ours = ca.server(["127.0.0.1"])
    address = serve_metrics("127.0.0.1:0", registry(), closing, Tls(ours.certificate, ours.key, None))
    host, _, port = address.rpartition(":")
    before = ssl.get_server_certificate((host, int(port)), timeout=TIMEOUT_S)
    good = ours.certificate.read_bytes()
    ours.certificate.write_text("no certificate")
    assert ssl.get_server_certificate((host, int(port)), timeout=TIMEOUT_S) == before
    ours.certificate.write_bytes(good)
    ca.server(["127.0.0.1"])
    assert ssl.get_server_certificate((host, int(port)), timeout=TIMEOUT_S) != before
