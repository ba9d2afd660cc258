"""A tap in a connection: hands bytes on in both directions and keeps what a server sent, as it went out."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress

from gateway.records.errors import GatewayError

CHUNK_BYTES = 64 * 1024
CLOSE_LIMIT_S = 5.0


class Tap:
    """Listens on loopback. `target` says where to connect, anew for each connection: servers come and go."""

    def __init__(self, target: Callable[[], str]) -> None:
        self._target = target
        self._sent = bytearray()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def take(self) -> bytes:
        """What servers sent since the last take."""
        with self._lock:
            taken = bytes(self._sent)
            self._sent.clear()
        return taken

    def close(self) -> None:
        """Ends every connection, and waits for who has it in hand."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in self._open:
            _shut(one)
        for thread in self._threads:
            thread.join(CLOSE_LIMIT_S)
        for one in self._open:
            one.close()

    def _start(self, run: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=run, args=args, name="tap", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._open.append(client)
                try:
                    host, _, port = self._target().rpartition(":")
                    server = socket.create_connection((host, int(port)))
                except (OSError, GatewayError):
                    # Nobody is there now.
                    _shut(client)
                    continue
                self._open.append(server)
                self._start(self._pump, client, server, False)
                self._start(self._pump, server, client, True)

    def _pump(self, source: socket.socket, sink: socket.socket, keep: bool) -> None:
        with suppress(OSError):
            while chunk := source.recv(CHUNK_BYTES):
                if keep:
                    # Before it goes on: who has it finds it here.
                    with self._lock:
                        self._sent += chunk
                sink.sendall(chunk)
        _shut(source)
        _shut(sink)


def _shut(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
