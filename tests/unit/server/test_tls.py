"""Certificates of our own ports are renewed while others connect."""

import ssl
import threading
from pathlib import Path

import pytest

from gateway.runtime.clock import SystemClock
from gateway.runtime.entropy import SystemEntropy
from gateway.server.dev_ca import DevCa, Issued
from gateway.server.tls import Tls, TlsInvalid, WatchedContext

HANDSHAKES = 300


@pytest.fixture
def ca(tmp_path: Path) -> DevCa:
    return DevCa(tmp_path / "ca", SystemClock(), SystemEntropy())


def issued(ca: DevCa) -> Issued:
    return ca.server(["localhost"])


def certificate_seen(watched: WatchedContext) -> bytes:
    """The server's certificate of one handshake, which is done in memory. Raises SSLError."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    theirs = client.wrap_bio(to_client, to_server)
    ours = watched.context.wrap_bio(to_server, to_client, server_side=True)
    left = [theirs, ours]
    while left:
        for one in (theirs, ours):
            if one in left:
                try:
                    one.do_handshake()
                except ssl.SSLWantReadError:
                    continue
                left.remove(one)
    seen = theirs.getpeercert(binary_form=True)
    assert seen is not None
    return seen


def test_a_connection_that_begins_while_certificates_are_renewed_is_served(ca: DevCa) -> None:
    of = issued(ca)
    watched = Tls(of.certificate, of.key, None).http_context()
    over = threading.Event()
    renewed = 0

    def renew() -> None:
        nonlocal renewed
        while not over.is_set():
            issued(ca)
            watched.refresh()
            renewed += 1

    thread = threading.Thread(target=renew)
    thread.start()
    try:
        seen = {certificate_seen(watched) for _ in range(HANDSHAKES)}
    finally:
        over.set()
        thread.join()
    assert min(renewed, len(seen)) > 3


def test_files_that_are_half_replaced_leave_what_was_good_whole(ca: DevCa, tmp_path: Path) -> None:
    of = issued(ca)
    watched = Tls(of.certificate, of.key, None).http_context()
    before = certificate_seen(watched)
    old_key = of.key.read_bytes()
    issued(ca)
    new_key = of.key.read_bytes()
    of.key.write_bytes(old_key)
    with pytest.raises(TlsInvalid):
        watched.refresh()
    assert certificate_seen(watched) == before
    of.key.write_bytes(new_key)
    watched.refresh()
    assert certificate_seen(watched) != before
