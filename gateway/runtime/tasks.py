"""Work beside the main line comes in through `Tasks`, so that a simulation can step it in a seeded order."""

import threading
from collections.abc import Callable
from typing import Protocol


class Stop(Protocol):
    """Tells a task to end."""

    def is_set(self) -> bool: ...

    def wait(self, timeout_s: float) -> bool:
        """Waits up to `timeout_s` seconds; true as soon as the task is to end."""
        ...


class Tasks(Protocol):
    """Runs named tasks until told to stop."""

    def start(self, name: str, run: Callable[[Stop], None]) -> None: ...

    def stop(self, timeout_s: float) -> list[str]:
        """Asks all tasks to end; the names of those that did not within `timeout_s` seconds."""
        ...


class Lock(Protocol):
    """Held by one thread at a time."""

    def acquire(self, blocking: bool = True) -> bool: ...

    def release(self) -> None: ...


def make_lock() -> Lock:
    return threading.Lock()


class _EventStop:
    __slots__ = ("_event",)

    def __init__(self, event: threading.Event) -> None:
        self._event = event

    def is_set(self) -> bool:
        return self._event.is_set()

    def wait(self, timeout_s: float) -> bool:
        return self._event.wait(timeout_s)


class ThreadTasks:
    """One daemon thread a task. An exception in a task is handed to `on_failure`, never swallowed."""

    def __init__(self, on_failure: Callable[[str, BaseException], None]) -> None:
        self._on_failure = on_failure
        self._event = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, name: str, run: Callable[[Stop], None]) -> None:
        thread = threading.Thread(target=self._guard, args=(name, run), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _guard(self, name: str, run: Callable[[Stop], None]) -> None:
        try:
            run(_EventStop(self._event))
        except BaseException as fault:
            self._on_failure(name, fault)

    def stop(self, timeout_s: float) -> list[str]:
        self._event.set()
        for thread in self._threads:
            thread.join(timeout_s)
        return [thread.name for thread in self._threads if thread.is_alive()]


class SimTasks:
    """Steps tasks by hand: each `run` is called once a step and is to return when `stop.is_set()`."""

    class _Once:
        __slots__ = ("_asked",)

        def __init__(self) -> None:
            self._asked = 0

        def is_set(self) -> bool:
            self._asked += 1
            return self._asked > 1

        def wait(self, timeout_s: float) -> bool:
            return True

    def __init__(self) -> None:
        self._runs: dict[str, Callable[[Stop], None]] = {}

    def start(self, name: str, run: Callable[[Stop], None]) -> None:
        self._runs[name] = run

    def names(self) -> list[str]:
        return list(self._runs)

    def step(self, name: str) -> None:
        """Lets one task make one round."""
        self._runs[name](SimTasks._Once())

    def stop(self, timeout_s: float) -> list[str]:
        self._runs.clear()
        return []
