"""What a plan says of fields is what the two compiled tables release, for every pair of policies."""

from dataclasses import replace
from random import Random

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from enrichment.fields import mask_of, names_of
from gateway.programs.consent_rows import Consents
from gateway.programs.model import PolicySnapshot, Tier
from gateway.programs.plan import plan
from gateway.programs.switches import SwitchView
from gateway.programs.table import ProgramEntry, Query, Release, ReleaseTable, compile_table
from tests.property.release_cases import FIELDS, ISSUERS, NOWS, PROGRAMS, REGIONS, policy_of, snapshot_of

SEEDS = st.integers(0, 2**64 - 1)
ALL = mask_of([*FIELDS, "label_state"])
FOREVER_MS = 253_402_300_800_000
CASES = 60
"""Each loads two policies, some 30 ms."""


def policy(source: Random) -> PolicySnapshot:
    documents = policy_of(source)
    # Conditions are about payments: with them, what one releases depends on more than region and tier.
    for name, one in documents.items():
        if name.startswith("enrolments/"):
            one["when"] = {}
    return snapshot_of(documents)


def near(source: Random, other: PolicySnapshot) -> PolicySnapshot:
    """A policy that differs in a few parts alone, as those do that operators apply."""
    fresh = policy(source)
    parts = source.sample(["programs", "enrolments", "regions", "recipients"], source.randint(0, 2))
    return replace(other, **{part: getattr(fresh, part) for part in parts})


def released(entry: ProgramEntry | None, region: str, tier: Tier, now_ms: int) -> set[str]:
    """What the table itself lets leave, for a good payment of a merchant of this tier."""
    if entry is None or not entry.enrolment_id or entry.shadow:
        return set()
    asked = replace(entry, consents=Consents({"m": (int(tier), 0, FOREVER_MS, "c")}, {}))
    query = Query(region, "m", "", 1, "5411", 1, "US", ALL, 0, max(now_ms, entry.valid_from_ms))
    answer = asked.release(query)
    return set(names_of(answer.mask)) if isinstance(answer, Release) else set()


def entry_of(table: ReleaseTable, program: str, issuer_id: str) -> ProgramEntry | None:
    issuer = table.issuers.get(issuer_id)
    entries = () if issuer is None else issuer.programs + issuer.after
    return next((one for one in entries if one.program == program), None)


@settings(max_examples=CASES, deadline=None, phases=(Phase.explicit, Phase.generate), print_blob=True)
@given(SEEDS)
def test_gained_and_lost_are_what_the_two_tables_say(seed: int) -> None:
    source = Random(seed)
    before = policy(source)
    after = near(source, before) if source.random() < 0.5 else policy(source)
    now_ms = source.choice(NOWS)
    said: dict[tuple[str, str, str, str], tuple[set[str], set[str]]] = {}
    for one in plan(before, after, SwitchView(0), now_ms=now_ms).fields:
        assert one.gained or one.lost
        for region in one.regions:
            for tier in one.tiers:
                key = (one.program, one.issuer_id, region, tier)
                assert key not in said, f"seed {seed}: {key} stands twice"
                said[key] = set(one.gained), set(one.lost)
    was, now = compile_table(before), compile_table(after)
    for program in PROGRAMS:
        for issuer_id in ISSUERS:
            for region in [*REGIONS, "FR"]:
                for tier in Tier:
                    old = released(entry_of(was, program, issuer_id), region, tier, now_ms)
                    new = released(entry_of(now, program, issuer_id), region, tier, now_ms)
                    key = (program, issuer_id, region, tier.name.lower())
                    assert said.pop(key, (set(), set())) == (new - old, old - new), f"seed {seed}: {key}"
    assert not said


@settings(max_examples=50, deadline=None, phases=(Phase.explicit, Phase.generate), print_blob=True)
@given(SEEDS)
def test_a_policy_against_itself_changes_nothing(seed: int) -> None:
    one, same = policy(Random(seed)), policy(Random(seed))
    found = plan(one, same, SwitchView(0), now_ms=Random(seed).choice(NOWS))
    assert not found.changes, f"seed {seed}"
    assert {warning.code for warning in found.warnings} <= {"ends_soon"}
