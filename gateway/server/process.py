"""What the processes have in common: when to stop, where metrics are served, the socket behind a front."""

import os
import signal
import tempfile
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

SOCKET_PATH_MAX_BYTES = 100
"""sun_path holds 108 bytes with the NUL at its end (unix(7)); some systems have 104."""


def stop_on_signals() -> threading.Event:
    """Set at SIGTERM or SIGINT from now on. Call it on the main thread."""
    stop = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask)
    return stop


def host_of(address: str) -> str:
    """The host of `host:port`; the port asked for may be 0, and another one be had."""
    return address.rpartition(":")[0]


def serve_metrics(address: str, registry: "CollectorRegistry", closing: ExitStack) -> str:
    """Serves the metrics off every loop, since an exposition takes milliseconds; where it listens.

    `closing` ends it, and is the last to see its thread.
    """
    # Here, since `ein up` needs the rest of this file and is to start at once.
    from prometheus_client import start_http_server

    host, _, port = address.rpartition(":")
    server, thread = start_http_server(int(port), addr=host, registry=registry)
    closing.callback(thread.join)
    closing.callback(server.server_close)
    closing.callback(server.shutdown)
    return f"{host}:{server.server_port}"


def fallback_socket(run_dir: Path, process: str) -> str:
    """Path of the server behind a front; in a folder of its own where the kernel's bytes are too few."""
    name = f"{process}.sock"
    path = str(run_dir / name)
    if len(os.fsencode(path)) > SOCKET_PATH_MAX_BYTES:
        path = os.path.join(tempfile.mkdtemp(prefix="ein-"), name)
    with suppress(FileNotFoundError):
        os.unlink(path)
    return path
