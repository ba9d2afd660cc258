"""Mistakes that could be made in the table's compiler and its rules, each one small change of the source.

A mutant is loaded as modules of its own, so that the property judges it as it judges the real ones.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from gateway import programs

FOLDER = Path(programs.__path__[0])
CHAIN = ("release", "compiler", "table")
"""In the order in which they import each other."""


class Mutant(NamedTuple):
    module: str
    was: str
    becomes: str


COMPILER = [
    Mutant("compiler", "max(program.state, enrolment.state)", "min(program.state, enrolment.state)"),
    Mutant("compiler", "max(program.state, enrolment.state)", "program.state"),
    Mutant(
        "compiler", "not in (State.ACTIVE, State.SHADOW)", "not in (State.ACTIVE, State.SHADOW, State.PAUSED)"
    ),
    Mutant("compiler", "if state is State.KILLED", "if program.state is State.PAUSED"),
    Mutant("compiler", "if not snapshot.recipients[", "if snapshot.recipients["),
    Mutant("compiler", "    if not program.field_mask & purpose_mask(program.purpose):\n", "    if False:\n"),
    Mutant(
        "compiler",
        "allowed = program.field_mask & purpose_mask(program.purpose)",
        "allowed = program.field_mask",
    ),
    Mutant("compiler", "granted = allowed & enrolment.field_mask", "granted = allowed"),
    Mutant("compiler", "granted = allowed & enrolment.field_mask", "granted = enrolment.field_mask"),
    Mutant("compiler", "granted & snapshot.regions.get(region, 0)", "granted"),
    Mutant("compiler", "for region in enrolment.regions:", "for region in snapshot.regions:"),
    Mutant("compiler", "for region in enrolment.regions:", "for region in enrolment.regions[1:]:"),
    Mutant("compiler", "if not in_region:", "if False:"),
    Mutant("compiler", "program.program, enrolment.field_mask, enrolment.regions", "program.program, 0, ()"),
    Mutant(
        "compiler", "program.program, enrolment.field_mask, enrolment.regions", '"", enrolment.field_mask, ()'
    ),
    Mutant("compiler", "alike.get(in_region)", "alike.get(next(iter(alike), 0))"),
    Mutant(
        "compiler", "program.basic_mask, program.enhanced_mask", "program.enhanced_mask, program.basic_mask"
    ),
    Mutant("compiler", "program.basic_mask, program.enhanced_mask", "program.basic_mask, program.basic_mask"),
    Mutant("compiler", "refused(in_region & ~mask,", "refused(in_region & mask,"),
    Mutant("compiler", "refused(granted & ~in_region,", "refused(program.field_mask & ~in_region,"),
    Mutant("compiler", "refused(allowed & ~granted, Reason.NOT_ENROLLED)", "()"),
    Mutant(
        "compiler",
        "refused(program.field_mask & ~allowed, Reason.PURPOSE_MISMATCH)",
        "refused(program.field_mask & ~allowed, Reason.NOT_ENROLLED)",
    ),
    Mutant(
        "compiler",
        "valid_until_ms=enrolment.valid_until_ms",
        "valid_until_ms=enrolment.attestation_expires_ms",
    ),
    Mutant("compiler", "valid_from_ms=enrolment.valid_from_ms", "valid_from_ms=enrolment.valid_from_ms + 1"),
    Mutant(
        "compiler",
        "attestation_expires_ms=enrolment.attestation_expires_ms",
        "attestation_expires_ms=enrolment.valid_until_ms",
    ),
    Mutant(
        "compiler",
        "one.valid_from_ms, one.valid_until_ms, one",
        "one.valid_from_ms, one.valid_until_ms + 1, one",
    ),
    Mutant("compiler", "conditions.channels or None", "None"),
    Mutant("compiler", "conditions.mccs, conditions.mcc_groups", "conditions.mccs, frozenset()"),
    Mutant("compiler", "conditions.amount_minor_from or 0", "conditions.amount_minor_below or 0"),
    Mutant("compiler", "return None if compiled == When() else compiled", "return None"),
    Mutant("compiler", "if enrolment.ramp_ppm is None", "if enrolment.holdout_ppm is not None"),
    Mutant("compiler", "for one in program.transports if one in granted", "for one in program.transports"),
    Mutant("compiler", "variant=enrolment.variant", 'variant="default"'),
    Mutant("compiler", " & profile_mask(enrolment.profile)", ""),
    Mutant("compiler", "profile=enrolment.profile,", 'profile="B",'),
    Mutant("compiler", "=recipient.signing_algorithm", '="ES256"'),
    Mutant("compiler", 'recipient.content_key == "fresh"', "False"),
    Mutant("compiler", "shadow=state is State.SHADOW", "shadow=enrolment.state is State.SHADOW"),
    Mutant(
        "compiler", "Consents(consents_of(snapshot.merchants)", "Consents(consents_of(snapshot.platforms)"
    ),
    Mutant("compiler", "consents_of(snapshot.platforms)", "consents_of(snapshot.merchants)"),
    Mutant("table", "one[0] - one[1], one[0]", "one[1] - one[0], one[0]"),
    Mutant("table", "[bisect_right(self._starts, iin)]", "[bisect_right(self._starts, iin) - 1]"),
    Mutant("table", "if not entry.ahead", "if entry.ahead"),
]
"""Of what makes the table: each has to be caught."""

RULES = [
    Mutant("release", "self.valid_from_ms <= now_ms < self", "self.valid_from_ms < now_ms < self"),
    Mutant("release", "<= now_ms < self.valid_until_ms", "<= now_ms <= self.valid_until_ms"),
    Mutant("release", "now_ms >= self.attestation_expires_ms", "now_ms > self.attestation_expires_ms"),
    Mutant("release", "merchant[0] <= platform[0] else", "merchant[0] >= platform[0] else"),
    Mutant("release", "merchant[0] <= platform[0] else", "merchant[0] < platform[0] else"),
    Mutant("release", "            merchant = platform\n", "            return _WITHHOLD_NO_CONSENT\n"),
    Mutant("release", " and platform[1] <= now_ms < platform[2])", ")"),
    Mutant("release", "(merchant[1] <= now_ms < merchant[2] and ", "("),
    Mutant("release", "merchant[1] <= now_ms < merchant[2]", "merchant[1] <= now_ms <= merchant[2]"),
    Mutant("release", "tier == _OPTED_OUT else", "tier != _OPTED_OUT else"),
    Mutant("release", "        if objected:\n            return _WITHHOLD_OBJECTED\n", ""),
    Mutant("release", "amount_minor < amount_minor_below", "amount_minor <= amount_minor_below"),
    Mutant("release", "amount_minor >= amount_minor_from", "amount_minor > amount_minor_from"),
    Mutant(
        "release",
        "(channels is None or channel in channels)",
        "(not channel or channels is None or channel in channels)",
    ),
    Mutant("release", "mask = there & ~below_quality", "mask = there"),
    Mutant("release", "there = granted & available", "there = granted"),
    Mutant("release", "there & below_quality)", "below_quality)"),
    Mutant("release", "if self.when is not None and not self.when.holds(query):", "if False:"),
]
"""Of what the table answers with, in Python: the engine is held to it."""


@contextmanager
def loaded(mutant: Mutant) -> Iterator[ModuleType]:
    """The module `table` of the mutant."""
    names = {name: f"mutant_of_programs_{name}" for name in CHAIN}
    try:
        for name in CHAIN:
            source = (FOLDER / f"{name}.py").read_text()
            if name == mutant.module:
                assert source.count(mutant.was) == 1, f"stands {source.count(mutant.was)} times: {mutant.was}"
                source = source.replace(mutant.was, mutant.becomes)
            for imported, renamed in names.items():
                source = source.replace(f"from gateway.programs.{imported} import", f"from {renamed} import")
            module = sys.modules[names[name]] = ModuleType(names[name])
            exec(compile(source, f"{name}.py of a mutant", "exec"), module.__dict__)
        yield sys.modules[names["table"]]
    finally:
        for renamed in names.values():
            sys.modules.pop(renamed, None)
