"""What the processes have in common: when to stop, which host they listen on, the socket behind a front."""

import os
import signal
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from types import FrameType

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


def fallback_socket(run_dir: Path, process: str) -> str:
    """Path of the server behind a front; in a folder of its own where the kernel's bytes are too few."""
    name = f"{process}.sock"
    path = str(run_dir / name)
    if len(os.fsencode(path)) > SOCKET_PATH_MAX_BYTES:
        path = os.path.join(tempfile.mkdtemp(prefix="ein-"), name)
    with suppress(FileNotFoundError):
        os.unlink(path)
    return path
