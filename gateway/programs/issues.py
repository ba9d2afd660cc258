"""What is wrong with a policy: gathered, so that all of it is told at once."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final

from gateway.records.errors import GatewayError

BEGINNING_CHARACTERS: Final = 4
"""Of a name that is known by its beginning: `ramp` says more than `re`."""


@dataclass(frozen=True, slots=True)
class PolicyIssue:
    """One thing wrong. `path` is dotted within the document; no value of it is shown."""

    file: str
    path: str
    what: str
    mend: str

    @property
    def text(self) -> str:
        """What is wrong, and how to mend it."""
        return f"{self.what}. {self.mend}{'' if self.mend.endswith('?') else '.'}"

    def __str__(self) -> str:
        place = f"{self.file}: {self.path}" if self.path else self.file
        return f"{place}: {self.text}"


class PolicyInvalid(GatewayError):
    """The documents do not make a policy. Nothing of them takes effect."""

    code = "policy_invalid"

    def __init__(self, issues: Iterable[PolicyIssue]) -> None:
        self.issues = tuple(issues)
        count = f"{len(self.issues)} {'mistake' if len(self.issues) == 1 else 'mistakes'} in the policy"
        super().__init__("\n".join([count, *map(str, self.issues)]))


@dataclass(slots=True)
class Report:
    """Gathers issues, so that all are told at once."""

    issues: list[PolicyIssue] = field(default_factory=list)

    def add(self, file: str, path: str, what: str, mend: str) -> None:
        self.issues.append(PolicyIssue(file, path, what, mend))

    def unknown(self, file: str, path: str, kind: str, name: str, known: Iterable[str], mend: str) -> None:
        """A name that stands for nothing; names of fields, ids and groups are no secrets."""
        self.add(file, path, f'there is no {kind} "{name}"', near(name, known) or mend)


def near(name: str, known: Iterable[str]) -> str:
    """A suggestion where something known reads alike or begins alike, else nothing."""
    names = sorted(known)
    found = get_close_matches(name, names, n=1, cutoff=0.6)
    if not found and len(name) >= BEGINNING_CHARACTERS:
        found = [one for one in names if one.startswith(name)]
    return f'Did you mean "{found[0]}"?' if found else ""
