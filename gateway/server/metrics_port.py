"""The port of the metrics: Prometheus's text over HTTP, with TLS where the other ports have it."""

import socket
import threading
from contextlib import ExitStack, suppress
from socketserver import ThreadingMixIn
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app

from gateway.server.process import host_of
from gateway.server.tls import Tls, TlsInvalid, WatchedContext

REQUEST_S: Final = 10.0
"""A scrape takes milliseconds, and scrapers give up after ten seconds by default."""

CONNECTIONS_MAX: Final = 16
"""Each has a thread. A Prometheus and its twin have one each; the rest is for those that say nothing."""


class _Handler(WSGIRequestHandler):
    timeout = REQUEST_S

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the name that it is called by
        """Nothing is said of who asks."""

    def address_string(self) -> str:
        # As it came: a name would be asked of the network.
        return str(self.client_address[0])


class _Server(ThreadingMixIn, WSGIServer):
    """A thread for each scrape; the handshake is in it, so that no stranger holds up another.

    What comes beyond CONNECTIONS_MAX is closed before anything of it is read.
    """

    daemon_threads = True

    def __init__(self, host: str, port: int, tls: Tls | None) -> None:
        self.address_family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        self._secured = None if tls is None else tls.http_context(client_needed=True)
        self._refreshing = threading.Lock()
        self._places = threading.BoundedSemaphore(CONNECTIONS_MAX)
        super().__init__((host, port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            # No thread began that would give it back.
            self._places.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def finish_request(self, request: Any, client_address: Any) -> None:
        request.settimeout(REQUEST_S)
        if self._secured is None:
            super().finish_request(request, client_address)
            return
        with self._context(self._secured).context.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)

    def _context(self, secured: WatchedContext) -> WatchedContext:
        # Scrapes are seldom enough to look each time. Files that are being replaced leave what was good.
        with self._refreshing, suppress(TlsInvalid):
            secured.refresh()
        return secured

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who hangs up, or has no certificate, is no fault of ours."""


def serve_metrics(
    address: str, registry: CollectorRegistry, closing: ExitStack, tls: Tls | None = None
) -> str:
    """Serves the metrics off every loop, since an exposition takes milliseconds; where it listens.

    With `tls` and a `client_ca` none but the holders of certificates read them. `closing` ends it, and is the
    last to see its thread.
    """
    host, _, port = address.rpartition(":")
    server = _Server(host, int(port), tls)
    server.set_app(make_wsgi_app(registry))
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    closing.callback(thread.join)
    closing.callback(server.server_close)
    closing.callback(server.shutdown)
    return f"{host_of(address)}:{server.server_port}"
