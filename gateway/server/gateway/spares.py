"""Segments of the journal made ahead of their use, so that no append waits for the disk to find room."""

from collections.abc import Callable
from typing import Final

from gateway.backends.embedded.journal import FileJournalWriter
from gateway.records.journal import EVALUATIONS
from gateway.runtime.tasks import Stop

LOOK_S: Final = 0.1
"""A segment lasts 2 s at 8,000 payments/s with two sealed shares each, and its spare is made in one."""

NO_ROOM_S: Final = 60.0
"""Until a disk that gave no room is asked again: its room is for what is recorded."""

PAUSE_S: Final = 0.002
"""Between two steps: appends sync meanwhile."""


def make_spares(journal: FileJournalWriter) -> Callable[[Stop], None]:
    """A task that sees to it that there is always one."""

    def run(stop: Stop) -> None:
        made = True
        while not stop.wait(LOOK_S if made else NO_ROOM_S):
            made = journal.prepare(EVALUATIONS, lambda: stop.wait(PAUSE_S))

    return run
