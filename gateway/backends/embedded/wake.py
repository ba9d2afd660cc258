"""A datagram on a Unix socket wakes readers after a commit. A hint only: every reader polls as well."""

import contextlib
import os
import select
import socket
import time
from collections.abc import Iterator

# The kernel copies a socket's path into 108 bytes (unix(7)), 104 on BSD.
_PATH_BYTES = 100

# A directory's time stamp moves with the kernel's tick, 1 to 10 ms: a younger one may hide a newcomer.
_STAMP_NS = 20_000_000

_DRAIN_BYTES = 16


class WakeSender:
    """Calling it wakes every `WakeListener` of `name` in `run_dir`. Never blocks, never raises.

    Costs one stat where nobody listens, and 2-3 µs more a listener. Sockets of dead processes are removed.
    """

    def __init__(self, run_dir: str | os.PathLike[str], name: str) -> None:
        self._run_dir = os.path.abspath(run_dir)
        self._prefix = f"wake.{name}."
        self._stamp_ns = -1
        self._names: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)

    def __call__(self) -> None:
        try:
            stamp_ns = os.stat(self._run_dir).st_mtime_ns
            if stamp_ns != self._stamp_ns:
                self._list(stamp_ns)
        except OSError:
            return
        for name in self._names:
            self._send(name)

    def close(self) -> None:
        self._socket.close()

    def _list(self, stamp_ns: int) -> None:
        self._names = [
            name
            for name in os.listdir(self._run_dir)
            if name.startswith(self._prefix) and name.endswith(".sock")
        ]
        settled = time.time_ns() - stamp_ns > _STAMP_NS
        self._stamp_ns = stamp_ns if settled else -1

    def _send(self, name: str) -> None:
        try:
            with _address(self._run_dir, name) as address:
                self._socket.sendto(b"w", address)
        except ConnectionRefusedError:
            # Nobody has it open. The pid in its name keeps us from removing one that is just being made.
            if not _is_alive(name):
                with contextlib.suppress(OSError):
                    os.unlink(os.path.join(self._run_dir, name))
        except OSError:
            # Full: it has wakes waiting. Gone: it has ended. Either way it polls.
            pass


class LateWake:
    """A `WakeSender` for who has something to do first: `send` wakes if it was called since. Any thread."""

    __slots__ = ("_called", "_sender")

    def __init__(self, sender: WakeSender) -> None:
        self._sender = sender
        self._called = False

    def __call__(self) -> None:
        self._called = True

    def send(self) -> None:
        if self._called:
            # First: who calls from here on is for the next time.
            self._called = False
            self._sender()

    def close(self) -> None:
        self.send()
        self._sender.close()


class WakeListener:
    """Waits for wakes of `name`. One a reading thread; `listener_id` tells those of one process apart."""

    def __init__(self, run_dir: str | os.PathLike[str], name: str, listener_id: str) -> None:
        self._run_dir = os.path.abspath(run_dir)
        self._name = f"wake.{name}.{listener_id}.{os.getpid()}.sock"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)
        os.makedirs(self._run_dir, mode=0o700, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(self._run_dir, self._name))
        try:
            with _address(self._run_dir, self._name) as address:
                self._socket.bind(address)
        except BaseException:
            self._socket.close()
            raise
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)

    def fileno(self) -> int:
        return self._socket.fileno()

    def wait(self, timeout_s: float) -> bool:
        """Waits up to `timeout_s` seconds; true if woken. Wakes that gathered count as one."""
        woken = bool(self._poll.poll(max(0.0, timeout_s) * 1000))
        if woken:
            self.drain()
        return woken

    def drain(self) -> None:
        """Takes the waiting wakes, for those who select on `fileno` themselves."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self._socket.recv(_DRAIN_BYTES)

    def close(self) -> None:
        self._socket.close()
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(self._run_dir, self._name))


@contextlib.contextmanager
def _address(directory: str, name: str) -> Iterator[str]:
    """Address of a socket, by way of /proc where its path is longer than the kernel takes."""
    path = os.path.join(directory, name)
    if len(os.fsencode(path)) <= _PATH_BYTES:
        yield path
        return
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}/{name}"
    finally:
        os.close(fd)


def _is_alive(name: str) -> bool:
    """Whether the process whose pid stands in a socket's name is there."""
    pid = name.removesuffix(".sock").rpartition(".")[2]
    if not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
