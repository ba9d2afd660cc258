"""Where the CPU time of a process of ours goes: by thread as the kernel counts it, by function as it is seen.

A thread looks at the others each millisecond and counts the functions that they are in. It has to wait for
the interpreter to look; so the switch interval is short meanwhile, or it would find the others only where
they have just given the interpreter away. What runs in Rust or C is counted under the line that called it.
SIGUSR1 begins, and again ends.
"""

import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import FrameType

EACH_S = 0.001
"""Between two looks: a batch takes some milliseconds."""

SWITCH_S = 0.00002
"""The interpreter's switch interval, 5 ms by default: a look comes so much later than it was to be."""

WAITS = (
    "threading.py Condition.wait", "gateway/server/fronts/native.py NativeFront._take",
    "selectors.py EpollSelector.select", "gateway/runtime/disk.py _RealFile.sync",
    "asyncio/selector_events.py BaseSelectorEventLoop._write_to_self",
)  # fmt: skip
"""Functions in which a thread waits, also for its turn of the interpreter: they are not counted, and what CPU
time they use, some 30 us a sync, is put down to the others."""

_ROOT = str(Path(__file__).resolve().parents[1]) + os.sep

Counts = dict[str, dict[str, Counter[str]]]


def start(path: str) -> None:
    """From the main thread. The figures of each round are written to `path`, as JSON."""
    rounds = _Rounds(path)

    def turn(number: int, frame: FrameType | None) -> None:
        rounds.turn()

    signal.signal(signal.SIGUSR1, turn)


class _Rounds:
    def __init__(self, path: str) -> None:
        self._path = path
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    def turn(self) -> None:
        """Begins a round, or ends the one that runs."""
        if self._thread is None:
            self._stop.clear()
            self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
            self._thread.start()
        else:
            self._stop.set()
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        # On any core: on the one that is looked at it would have to wait for its turn there too.
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
        before, switch_s = _kernel_s(), sys.getswitchinterval()
        found: Counts = {}
        sys.setswitchinterval(SWITCH_S)
        while not self._stop.is_set():
            time.sleep(EACH_S)
            _look(found)
        sys.setswitchinterval(switch_s)
        threads = {name: spent - before.get(name, 0.0) for name, spent in _kernel_s().items()}
        Path(self._path + ".new").write_text(json.dumps({"threads": threads, "looks": found}))
        os.replace(self._path + ".new", self._path)


def _look(found: Counts) -> None:
    """Counts of each thread the innermost function, its line, and all functions on the stack."""
    own = threading.get_ident()
    frames = sys._current_frames()
    names = {one.ident: one.name for one in threading.enumerate()}
    for ident, frame in frames.items():
        if ident == own:
            continue
        function = _function(frame)
        if function in WAITS:
            continue
        counts = found.setdefault(
            names.get(ident, "?"), {"self": Counter(), "within": Counter(), "line": Counter()}
        )
        counts["self"][function] += 1
        counts["line"][f"{function}:{frame.f_lineno}"] += 1
        counts["within"].update(_stack(frame))


def _function(frame: FrameType) -> str:
    code = frame.f_code
    place = code.co_filename.removeprefix(_ROOT)
    for folder in ("site-packages/", f"python{sys.version_info.major}.{sys.version_info.minor}/"):
        place = place.rpartition(folder)[2]
    return f"{place} {code.co_qualname}"


def _stack(frame: FrameType | None) -> set[str]:
    found = set()
    while frame is not None:
        found.add(_function(frame))
        frame = frame.f_back
    return found


def _kernel_s() -> dict[str, float]:
    """CPU seconds by thread, as the kernel counts them: those of Python by their names, others by theirs."""
    names = {one.native_id: one.name for one in threading.enumerate()}
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    found: Counter[str] = Counter()
    for task in Path("/proc/self/task").iterdir():
        try:
            head, _, rest = (task / "stat").read_text().rpartition(")")
        except OSError:
            continue
        fields = rest.split()
        name = names.get(int(task.name)) or head.partition("(")[2]
        found[name] += (int(fields[11]) + int(fields[12])) * tick_s
    return dict(found)
