"""Follows the registry's erasures into the lake."""

from typing import Final

import structlog

from gateway.measurement.ports import CASES, LakeWriter
from gateway.programs.subjects import CaseKind, CaseReader, CaseState, Subjects

PAGE_CASES: Final = 100

_log = structlog.get_logger("measure")


class LakeErasures:
    """Everything that is known to be erased, and what of it the lake still has. One thread."""

    def __init__(self, cases: CaseReader, writer: LakeWriter) -> None:
        self._cases = cases
        self._writer = writer
        self._place = 0
        self._done = writer.offsets().get(CASES, 0)
        self.known = Subjects()

    def step(self) -> int:
        """Takes in what was asked since the last step; how many rows went. Raises ConsentStoreUnavailable."""
        gone = 0
        while True:
            events, place = self._cases.events(self._place, PAGE_CASES)
            if not events:
                return gone
            # First: what comes from the journals from here on is left out.
            self.known.take(events)
            cards = {
                key.hex()
                for one in events
                if one.kind is CaseKind.ERASURE and one.state is CaseState.RECEIVED
                for key in one.unit_keys
            }
            if place > self._done:
                if cards:
                    count = self._writer.erase(sorted(cards))
                    _log.info("erased", rows=count)
                    gone += count
                self._writer.follow({CASES: place})
                self._done = place
            self._place = place
