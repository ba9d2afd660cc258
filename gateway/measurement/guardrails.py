"""What measurement may do by itself where a guardrail is crossed: pause a program at an issuer. Pure.

It can neither resume nor revive: what a machine stopped, people look at first.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from gateway.programs.switches import GUARDRAIL_ACTOR, Stopped

FIGURES_MAX: Final = 5
"""Beside each other they fit into the 256 characters of a reason, as `ein history` shows it."""

_GUARDRAIL: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")
_FIGURE: Final = re.compile(r"[a-z][a-z0-9_]{0,22}")
_FINDING_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """A guardrail was crossed. `figures` are what it saw, by name: numbers alone, units last in the name."""

    finding_id: str
    """Of the finding: the same id again is the same crossing."""

    guardrail: str
    program: str
    issuer_id: str
    figures: Mapping[str, float]

    @property
    def actor(self) -> str:
        return f"{GUARDRAIL_ACTOR}{self.guardrail}"

    @property
    def reason(self) -> str:
        """For the history and the audit; at most 256 characters."""
        figures = (f"{name}={value:.6g}" for name, value in sorted(self.figures.items()))
        return " ".join((f"finding {self.finding_id}:", *figures))


class Refusal(StrEnum):
    """Why nothing was paused."""

    MALFORMED = "malformed"
    """An id, a name or a figure is not of the form that it has to have, or there are too many figures."""

    UNKNOWN_PROGRAM = "unknown_program"
    UNKNOWN_ISSUER = "unknown_issuer"
    """The policy in force has none of the name; a pause of nothing would look like a pause."""

    OTHER_FINDING = "other_finding"
    """The id stands for another crossing already."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was paused."""

    refusal: Refusal


@dataclass(frozen=True, slots=True)
class Paused:
    """The pause is written; not everywhere in effect yet where `stopped.workers_waiting` is not empty."""

    stopped: Stopped
    repeated: bool
    """The finding had paused before: nothing was written now, also where a person resumed since."""


class GuardrailPauses(Protocol):
    """The only hand that measurement has on what is shared."""

    def pause(self, crossing: Crossing) -> Paused | Refused:
        """Pauses the program at the issuer, and returns when nobody shares under it there any more.

        Once a finding: a repeat changes nothing, and waits as the first did. Raises SwitchStoreUnavailable.
        """
        ...


def refused(crossing: Crossing) -> Refusal | None:
    """Whether the crossing says what it has to say, without looking at any policy."""
    names_fit = all(_FIGURE.fullmatch(name) for name in crossing.figures)
    good = (
        _FINDING_ID.fullmatch(crossing.finding_id)
        and _GUARDRAIL.fullmatch(crossing.guardrail)
        and names_fit
        and 1 <= len(crossing.figures) <= FIGURES_MAX
        and all(_is_number(value) for value in crossing.figures.values())
    )
    return None if good else Refusal.MALFORMED


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
