"""The release table of a large policy: how long a decision takes, and how long its compilation."""

import time
from collections.abc import Callable, Sequence
from datetime import date
from functools import lru_cache
from random import Random

from bench.result import Run, Scale, alternate
from enrichment.fields import FIELDS, mask_of
from gateway.programs import table as tables
from gateway.programs.model import (
    Conditions,
    ConsentSetting,
    Enrolment,
    Experiment,
    IinRange,
    Issuer,
    PolicySnapshot,
    Program,
    Purpose,
    Recipient,
    State,
    Tier,
    Transport,
)
from gateway.programs.purposes import purpose_mask
from gateway.programs.schema import start_ms
from gateway.programs.table import Query, Release

ISSUERS, PROGRAMS, REGIONS, TIERS = 200, 5, 50, (Tier.NONE, Tier.BASIC, Tier.ENHANCED)
REGIMES, CONTRACTS = 8, 10
"""Laws that regions have in common, and sets of fields that a program's enrolments have."""

MERCHANTS, PLATFORMS = 200, 20
"""As in the demo."""

SEED = 3
BATCH = 32
"""Payments between two looks at the clock: what a batch of the hot loop holds under load."""

COMPILATIONS = 3
_ALL = (1 << len(FIELDS)) - 1
_FROM_MS, _NOW_MS, _UNTIL_MS = (start_ms(date(year, 1, 1)) for year in (2025, 2026, 2035))


@lru_cache(maxsize=1)
def policy() -> PolicySnapshot:
    """200 issuers, each in 5 programs, 50 regions, 3 tiers; every fourth enrolment has conditions."""
    source = Random(SEED)
    regions = [f"{first}{second}" for first in "ABCDE" for second in "ABCDEFGHIJ"]
    issuers = [f"issuer-{number:03d}" for number in range(ISSUERS)]
    regimes = [_drawn(source, _ALL, 0.8) for _ in range(REGIMES)]
    programs = {name: _program(source, name) for name in (f"program-{number}" for number in range(PROGRAMS))}
    contracts = {
        name: [_drawn(source, program.field_mask, 0.9) for _ in range(CONTRACTS)]
        for name, program in programs.items()
    }
    return PolicySnapshot(
        version=1,
        issuers={
            name: Issuer(
                name, (IinRange(f"{400_000 + number:06d}00", f"{400_000 + number:06d}99"),), "US", name
            )
            for number, name in enumerate(issuers)
        },
        recipients={name: Recipient(name, True) for name in issuers},
        programs=programs,
        enrolments=tuple(
            _enrolment(source, name, program, source.choice(contracts[program.program]), regions)
            for name in issuers
            for program in programs.values()
        ),
        regions={region: source.choice(regimes) for region in regions},
        merchants={f"m-{number}": _consent(source, "merchant", number) for number in range(MERCHANTS)},
        platforms={f"p-{number}": _consent(source, "platform", number) for number in range(PLATFORMS)},
        experiment=Experiment(20_000, b"g" * 32, {"s": b"s" * 32}),
    )


def _drawn(source: Random, mask: int, share: float) -> int:
    return sum(1 << one.number for one in FIELDS if mask >> one.number & 1 and source.random() < share)


def _program(source: Random, name: str) -> Program:
    fields = _drawn(source, purpose_mask(Purpose.FRAUD_AUTHORIZATION), 0.6) | mask_of(["score_norm"])
    basic = _drawn(source, fields, 0.5) | mask_of(["score_norm"])
    transports = (Transport.LOOKUP, Transport.SSF)
    return Program(
        name, True, Purpose.FRAUD_AUTHORIZATION, fields, basic, fields, transports, State.ACTIVE,
        1_000_000, 50_000, "s",
    )  # fmt: skip


def _enrolment(
    source: Random, issuer_id: str, program: Program, fields: int, regions: Sequence[str]
) -> Enrolment:
    conditions = Conditions(frozenset({1, 2}), mcc_groups=frozenset({"food_stores", "digital_goods"}))
    return Enrolment(
        enrolment_id=f"{issuer_id}-{program.program}",
        issuer_id=issuer_id,
        program=program.program,
        contract_id="contract",
        legal_basis="legitimate_interest",
        controller_role="independent_controller",
        valid_from_ms=_FROM_MS,
        valid_until_ms=_UNTIL_MS,
        attestation_expires_ms=_UNTIL_MS,
        regions=tuple(regions),
        field_mask=fields,
        transports=program.transports,
        message_elements=(),
        clear_elements_allowed=False,
        state=State.ACTIVE,
        ramp_ppm=None,
        holdout_ppm=None,
        profile="B",
        variant="default",
        conditions=conditions if source.random() < 0.25 else Conditions(),
    )


def _consent(source: Random, party: str, number: int) -> ConsentSetting:
    tier = source.choice((*TIERS, Tier.ENHANCED, Tier.ENHANCED))
    return ConsentSetting(f"{party}/{number}/v1", tier, "v1", "a", "e", _FROM_MS, _UNTIL_MS)


def _payments(run: int, count: int) -> list[tuple[str, Query]]:
    """IINs and what is asked of them, made anew as a gateway does: no text has been looked up before."""
    source = Random(SEED * 1_000 + run)
    regions = sorted(policy().regions)
    return [
        (
            f"{400_000 + source.randrange(ISSUERS):06d}",
            Query(
                region="".join([*source.choice(regions)]),
                merchant_id=f"m-{source.randrange(MERCHANTS)}",
                platform_id=f"p-{source.randrange(PLATFORMS)}",
                channel=1,
                mcc=f"{source.choice((5_411, 5_815, 7_995)):04d}",
                amount_minor=source.randrange(100_000),
                merchant_country="".join("US"),
                available_mask=_drawn(source, _ALL, 0.9),
                below_quality_mask=0 if source.random() < 0.9 else 1 << source.randrange(len(FIELDS)),
                now_ms=_NOW_MS,
            ),
        )
        for _ in range(count)
    ]


_Step = Callable[[Query], object]


def _timed(steps_of: Callable[[str], Sequence[_Step]], run: int, batches: int) -> Run:
    """Time of the steps of all payments, batch by batch as they come in; a latency is a batch's mean step."""
    latencies: list[float] = []
    clock, items, spent_ns = time.perf_counter_ns, 0, 0
    for number in range(batches):
        payments = _payments(run * batches + number, BATCH)
        steps = [(step, query) for iin, query in payments for step in steps_of(iin)]
        began = clock()
        for step, query in steps:
            step(query)
        took_ns = clock() - began
        items, spent_ns = items + len(steps), spent_ns + took_ns
        latencies.append(took_ns / len(steps) / 1e6)
    return Run(items, spent_ns / 1e9, latencies)


def release_table(scale: Scale) -> str:
    """Decisions a second as the hot loop asks for them, against one look-up in a dict of the same texts."""
    table = tables.compile_table(policy())
    batches = scale.calls // BATCH
    known = {(region, f"m-{number}"): number for region in policy().regions for number in range(MERCHANTS)}

    def decisions(iin: str) -> list[_Step]:
        issuer = table.issuer_of(iin)
        assert issuer is not None
        return [entry.quick_release for entry in issuer.programs]

    def look_ups(_: str) -> list[_Step]:
        return [lambda query: known[query.region, query.merchant_id]] * PROGRAMS

    answers = [step(query) for iin, query in _payments(-1, 400) for step in decisions(iin)]
    released = sum(isinstance(answer, Release) for answer in answers) * 100 // len(answers)
    assert released > 33, "too little is released for a measure of it"
    return alternate(
        "release_table", "one look-up in a dict by region and merchant",
        lambda run: _timed(decisions, run + 1, batches), lambda run: _timed(look_ups, run + 1, batches),
        runs=scale.runs, load=_load(f"{released}% of decisions release something"),
    )  # fmt: skip


def compile_table(scale: Scale) -> str:
    """Entries (an issuer's program) compiled a second, against a plain copy of a dict for each."""
    snapshot = policy()
    entries = ISSUERS * PROGRAMS

    def ours(_: int) -> Run:
        return _repeated(lambda: tables.compile_table(snapshot), entries)

    row = {f"{region}/{tier}": (tier, ()) for region in snapshot.regions for tier in Tier}

    def theirs(_: int) -> Run:
        return _repeated(lambda: [{**row} for _ in range(entries)], entries)

    return alternate(
        "compile_table", "a dict of all regions and tiers copied for each entry", ours, theirs,
        runs=scale.runs, load=_load("a latency is of a whole compilation"),
    )  # fmt: skip


def _repeated(step: Callable[[], object], items: int) -> Run:
    latencies: list[float] = []
    for _ in range(COMPILATIONS):
        began = time.perf_counter()
        made = step()
        latencies.append((time.perf_counter() - began) * 1_000)
        del made
    return Run(items * COMPILATIONS, sum(latencies) / 1_000, latencies)


def _load(more: str) -> str:
    return f"{ISSUERS} issuers x {PROGRAMS} programs x {REGIONS} regions x {len(TIERS)} tiers; {more}"
