"""The scorer of the hot path: rows of a batch through the model that serves, calibrated, with reasons.

What serves is one reference, looked at once a batch: another model takes its place between two batches.
"""

from collections.abc import Callable, Sequence
from ctypes import c_double, memmove
from typing import Any, Final

from enrichment.payment import Assessment
from enrichment.scoring import points
from enrichment.scoring.features import FEATURES, make_pack
from enrichment.scoring.reasons import reasons
from gateway.backends.lightgbm.model import Model
from gateway.runtime.native import engines
from gateway.sharing.score_port import Asked

ROWS_A_CALL: Final = 256
"""Rows of one call of the library: an ordinary batch is one call. The buffer is made once."""

LONE_ROWS: Final = 12
"""Up to so many rows go by the single-row call: what a call for many begins with takes 10 us, and 40 where
the rest of a batch has been in the processor's caches since the last one."""

EXPLAINED_A_BATCH: Final = 8
"""Contributions take some 100 us a row: under a flood of bad payments they may take 1 ms of a batch. The
others of the batch have the reasons that the points give, which are as true."""

SAMPLE_ROWS: Final = 1_024
"""Rows kept between two looks of who watches drift and shadow: 256 KB, and 10 ms of that thread."""

_COLUMNS: Final = len(FEATURES)
_ROW_BYTES: Final = 8 * _COLUMNS


class ModelScorer:
    """Implements `Scorer`. One thread calls `assess`; any may replace `serving` and take the sample."""

    def __init__(self, on_fault: Callable[[str, BaseException], None], native: Any = engines) -> None:
        self.serving: Model | None = None
        self.by_model = self.by_points = 0
        """Payments so far, for who watches."""
        self._on_fault = on_fault
        self._buffer = (c_double * (ROWS_A_CALL * _COLUMNS))()
        self._pack = make_pack(native)
        self._sample: list[bytes] = []
        self._room = SAMPLE_ROWS

    def assess(self, asked: Sequence[Asked]) -> Sequence[Assessment | None]:
        """As the port says."""
        model = self.serving
        if model is None:
            self.by_points += len(asked)
            return [None] * len(asked)
        if len(asked) == 1:
            plain = self._lone(model, asked)
            if plain is not None:
                self.by_model += 1
                return [plain]
        left = EXPLAINED_A_BATCH
        answers: list[Assessment | None] = []
        for first in range(0, len(asked), ROWS_A_CALL):
            part = asked[first : first + ROWS_A_CALL] if first or len(asked) > ROWS_A_CALL else asked
            try:
                left = self._assess(model, part, left, answers)
            except Exception as fault:
                self._on_fault("score", fault)
                del answers[first:]
                left = self._one_by_one(model, part, left, answers)
        unassessed = answers.count(None)
        self.by_points += unassessed
        self.by_model += len(answers) - unassessed
        return answers

    def _lone(self, model: Model, asked: Sequence[Asked]) -> Assessment | None:
        """What most lone payments come to, in half the time; None where there is more to say, or something
        went wrong: then it is for the others to find."""
        try:
            rows = self._pack(asked)
            step = model.step_of(model.raw_of(rows))
        except Exception:
            return None
        if step >= model.explained_from:
            return None
        if self._room > 0:
            self._room -= 1
            self._sample.append(rows)
        plain: Assessment = model.plain[step]
        return plain

    def _one_by_one(
        self, model: Model, part: Sequence[Asked], left: int, answers: list[Assessment | None]
    ) -> int:
        """After a fault: what goes wrong with one payment stays with it."""
        for at, one in enumerate(part, len(answers)):
            try:
                left = self._assess(model, (one,), left, answers)
            except Exception:
                del answers[at:]
                answers.append(None)
        return left

    def _assess(
        self, model: Model, part: Sequence[Asked], left: int, answers: list[Assessment | None]
    ) -> int:
        """Adds the answers of at most ROWS_A_CALL payments; returns how many may still be explained."""
        rows, count, buffer = self._pack(part), len(part), self._buffer
        if len(rows) != count * _ROW_BYTES:
            raise ValueError("rows of another length than the model has")  # what is moved next has no bounds
        memmove(buffer, rows, count * _ROW_BYTES)
        if self._room > 0:
            self._room -= count
            self._sample.append(rows)
        plain, explained_from = model.plain, model.explained_from
        steps = list(map(model.step_of, model.raw(buffer, count, few=count <= LONE_ROWS)))
        if max(steps) < explained_from:
            answers += [plain[step] for step in steps]
            return left
        for at, step in enumerate(steps):
            if step < explained_from:
                answers.append(plain[step])
                continue
            if left > 0:
                left -= 1
                values = buffer[at * _COLUMNS : (at + 1) * _COLUMNS]
                codes = reasons(values, model.contributions(values))
            else:
                payment, facts, match = part[at]
                codes = points.score(payment, facts, ship_bill_match=match).reason_codes
            answers.append(model.assessment(step, codes))
        return left

    def take_sample(self) -> list[bytes]:
        """Rows seen since the last look, packed, at most some SAMPLE_ROWS. For one other thread."""
        taken, self._sample = self._sample, []
        self._room = SAMPLE_ROWS
        return taken
