"""A thread for a provider that does I/O. It has one batch at a time; what comes too late is dropped."""

import threading
from contextlib import suppress
from typing import Final

from enrichment.provider import Columns, Provider
from gateway.runtime.clock import MS
from gateway.sharing.provider_port import Found

JOIN_S: Final = 1.0
"""At the end: a provider that hangs is left behind, since its thread ends with the process."""


class ProviderFailed(Exception):
    """It gave no answer, or ended by what is no ordinary exception."""


class ThreadBeside:
    """Implements `Beside`. Nothing waits in a queue: a batch is taken at once or not at all."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._change = threading.Condition()
        self._batch: Columns | None = None
        self._busy = False
        self._awaited = False
        self._found: Found | None = None
        self._fault: Exception | None = None
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name=f"provider-{provider.name}", daemon=True)
        self._thread.start()

    @property
    def provider(self) -> Provider:
        return self._provider

    def ask(self, batch: Columns) -> bool:
        """As the port says."""
        with self._change:
            if self._busy or self._stopped:
                return False
            self._batch, self._busy, self._awaited = batch, True, True
            self._found = self._fault = None
            self._change.notify_all()
        return True

    def answer(self, within_ns: int) -> Found | None:
        """As the port says."""
        with self._change:
            self._change.wait_for(lambda: not self._busy or self._stopped, within_ns / (1000 * MS))
            self._awaited = False
            found, fault = self._found, self._fault
            self._found = self._fault = None
        if fault is not None:
            raise fault
        return found

    def close(self) -> None:
        """Ends the thread once it has done what it has in hand, or leaves it behind."""
        with self._change:
            self._stopped = True
            self._change.notify_all()
        self._thread.join(JOIN_S)

    def _run(self) -> None:
        self._serve()
        close = getattr(self._provider, "close", None)
        if close is not None:
            with suppress(Exception):
                close()

    def _serve(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._batch is not None or self._stopped)
                if self._stopped:
                    return
                batch, self._batch = self._batch, None
            assert batch is not None
            found, fault = self._fetch(batch)
            del batch  # what it holds is personal data: not kept until the next comes
            with self._change:
                self._busy = False
                if self._awaited:
                    self._found, self._fault = found, fault
                    self._change.notify_all()

    def _fetch(self, batch: Columns) -> tuple[Found | None, Exception | None]:
        try:
            found: Found | None = self._provider.fetch(batch)
            # None would read as late.
            return found, ProviderFailed("no columns") if found is None else None
        except Exception as fault:
            return None, fault
        except BaseException as fault:
            return None, ProviderFailed(type(fault).__name__)
