"""An import is read while it is staged, so that a worker has all of it when it is finished.

Otherwise a revocation behind a million rows would wait some seconds until they are taken in.
"""

from typing import Final

from gateway.programs.consent_rows import Registered
from gateway.programs.consents import ConsentStore

PAGE_ROWS: Final = 1_000
"""Read at a look: a fraction of a millisecond of a processor, which payments need too."""

SETTLED_A_LOOK: Final = 1_000
"""Rows: as long."""


class ReadAhead:
    """Follows the newest import that is open. One thread's. Raises as its store and `Registered.stage` do."""

    def __init__(self, store: ConsentStore, registered: Registered) -> None:
        self._store = store
        self._registered = registered
        self._import_id: int | None = None
        self._row = 0
        self._settled = True

    def look(self) -> bool:
        """Reads a page on; what the last import brought settles first. True where to look again is of use."""
        if not self._settled:
            self._settled = self._registered.settle(SETTLED_A_LOOK)
            return True
        if self._import_id is None:
            self._import_id, self._row = self._store.open_import(), 0
        if self._import_id is None:
            return False
        if self.read():
            return True
        # All that there is. Abandoned, or finished without a row to read ahead: it is of no use any more.
        if self._store.open_import() != self._import_id and (
            not self._row or self._store.import_epoch(self._import_id) is None
        ):
            self.forget()
        return False

    def follow(self, import_id: int) -> None:
        """This import from now on, from its beginning where it is another one than so far."""
        if self._import_id != import_id:
            self.forget()
            self._import_id = import_id

    def read(self) -> bool:
        """A page of what is staged. False where there is no more now."""
        assert self._import_id is not None
        page = self._store.staged(self._import_id, self._row, PAGE_ROWS)
        if page:
            _, self._row = self._registered.stage(page)
        return bool(page)

    def enforce(self) -> None:
        """Lets all that was read of it hold at once."""
        self._registered.enforce()
        self._import_id, self._row, self._settled = None, 0, False

    def forget(self) -> None:
        """The import, which nobody was told of."""
        self._registered.unstage()
        self._import_id, self._row = None, 0
