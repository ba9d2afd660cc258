"""IIN ranges of all issuers: they nest, the narrower wins, and no two are equal or cross."""

from typing import Final

from gateway.programs.issues import Report
from gateway.programs.model import IinRange
from gateway.programs.schema import Documents, iin_range

_KEEP_ONE: Final = "Keep it in one place; a narrower range inside a wider one is fine and wins"
_SPLIT: Final = (
    "Cut it at the border of the other: of two ranges one lies inside the other, or they are apart"
)

_Place = tuple[str, int]
"""File, and index in its list."""


def check_iin_ranges(documents: Documents, report: Report) -> None:
    """Names each range that equals another, or that begins inside one and ends outside it."""
    places: dict[IinRange, _Place] = {}
    for file, issuer in documents.issuers.items():
        for index, text in enumerate(issuer.iin_ranges):
            if documents.hides(file, _path(index)):
                continue
            other = places.setdefault(iin_range(text), (file, index))
            if other != (file, index):
                report.add(file, _path(index), f"it equals {_named(other)}", _KEEP_ONE)
    around: list[IinRange] = []
    # By where they begin, wide before narrow: what is still open then is around what comes, or crosses it.
    for one in sorted(places, key=lambda one: (int(one.first), -int(one.last))):
        while around and around[-1].last < one.first:
            around.pop()
        if around and around[-1].last < one.last:
            file, index = places[one]
            report.add(file, _path(index), f"it crosses {_named(places[around[-1]])}", _SPLIT)
            continue
        around.append(one)


def _path(index: int) -> str:
    return f"iin_ranges.{index}"


def _named(place: _Place) -> str:
    return f"{_path(place[1])} of {place[0]}"
