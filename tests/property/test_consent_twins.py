"""What a worker knows of consents: engine and twin keep the same rows, and a release goes by them."""

from collections.abc import Mapping
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from gateway.programs import consent_packs, consent_rows
from gateway.programs.consent_rows import MEMBER, ROW, Registered, TwinRegistered
from gateway.programs.model import FOREVER_MS, ConsentSetting, PolicySnapshot, Tier
from gateway.programs.table import ProgramEntry, Query, Release, ReleaseTable, compile_table
from gateway.records.reasons import Reason, Withhold
from gateway.runtime.native import engines
from tests.property.release_cases import SEEDS, as_query, bounds_of, policy_of, query_of, snapshot_of

needs_engines = pytest.mark.skipif(engines is None, reason="the engines of native/ are not built here")

# Few parties, so that they speak again; ids of one, two, three and four bytes a character.
IDS = st.sampled_from(["m-1", "m-2", "é", "店", "😀", "x" * 64, "店" * 64, "merchant"])
NUMBERS = st.integers(0, 5) | st.sampled_from([FOREVER_MS, 2**63 - 1])
TERMS = st.sampled_from(["2026-1", "2026-2", "a/b", "ß"])
TIERS = st.sampled_from([tier.name for tier in Tier])
ROWS = st.tuples(st.sampled_from(["merchant", "platform"]), IDS, TIERS, TERMS, NUMBERS, NUMBERS)
PAGES = st.lists(ROWS, min_size=1, max_size=8)
STEPS = st.lists(
    st.tuples(st.sampled_from(["take", "stage"]), PAGES)
    | st.tuples(st.just("settle"), st.integers(0, 6))
    | st.sampled_from([("enforce", None), ("unstage", None)]),
    max_size=14,
)
ASKED: list[Any] = [
    "m-1",
    "m-2",
    "é",
    "店",
    "😀",
    "x" * 64,
    "店" * 64,
    "merchant",
    "",
    "m-3",
    "\ud800",
    None,
    7,
]


def page_of(rows: list[Any], first: int = 1) -> str:
    return ROW.join(MEMBER.join(map(str, (*row, 1, number))) for number, row in enumerate(rows, first))


def answers(rows: Registered) -> list[Any]:
    return [[rows.merchant(one), rows.platform(one)] for one in ASKED]


@needs_engines
@given(STEPS)
@settings(max_examples=500, deadline=None)
def test_both_know_the_same_after_every_step(steps: list[tuple[str, Any]]) -> None:
    engine, twin = consent_rows.registered(), TwinRegistered()
    # What holds, without layers: an import's rows wait, then go over all that was said before.
    plain: dict[tuple[str, str], Any] = {}
    staged: dict[tuple[str, str], Any] = {}
    for step, given_ in steps:
        for rows in (engine, twin):
            if step in ("take", "stage"):
                assert getattr(rows, step)(page_of(given_)) == (1, len(given_))
            elif step == "settle":
                rows.settle(given_)
            else:
                getattr(rows, step)()
        if step in ("take", "stage"):
            of = plain if step == "take" else staged
            of |= {
                (one[0], one[1]): (int(Tier[one[2]]), *one[4:], "/".join((*one[:2], one[3], one[2].lower())))
                for one in given_
            }
        elif step in ("enforce", "unstage"):
            plain |= staged if step == "enforce" else {}
            staged = {}
        expected = [[plain.get((party, one)) for party in ("merchant", "platform")] for one in ASKED]
        assert answers(engine) == answers(twin) == expected
    for rows in (engine, twin):
        while not rows.settle(100):
            pass
        assert len(rows) == len(plain)


GOOD = ("merchant", "m-2", "BASIC", "2026-1", 0, 5, 1, 2)
MALFORMED = [
    "",
    "merchant",
    MEMBER.join(map(str, GOOD[:7])),
    MEMBER.join(map(str, (*GOOD, 9))),
    *(
        MEMBER.join(map(str, (*GOOD[:at], wrong, *GOOD[at + 1 :])))
        for at, wrongs in {
            0: ["acquirer", ""],
            1: [""],
            2: ["GOLD", "2"],
            4: ["", "-1", "+1", " 1", "1.0", "²", 2**63],
        }.items()
        for wrong in wrongs
    ),
]


@pytest.mark.parametrize("made", [consent_rows.registered, TwinRegistered])
@pytest.mark.parametrize("second", MALFORMED)
def test_a_page_that_is_none_is_refused_whole_and_nothing_of_it_is_told(made: Any, second: str) -> None:
    rows = made()
    first = page_of([("merchant", "m-1", "BASIC", "2026-1", 0, 5)])
    with pytest.raises(ValueError, match=r"^no page of the registry$"):
        rows.take(first + ROW + second)
    assert len(rows) == 0


def pack_of(rows: list[Any]) -> str:
    said = [consent_packs.says(party, Tier[tier], *others) for party, _, tier, *others in rows]
    return consent_packs.joined(said, [row[1] for row in rows], ["form 7"] * len(rows))


@needs_engines
@given(st.lists(PAGES, min_size=1, max_size=3), st.data())
@settings(max_examples=300, deadline=None)
def test_rows_of_packs_say_what_they_say_each_alone_also_where_a_pack_is_cut(
    packs: list[list[Any]], data: st.DataObject
) -> None:
    plain, parts, row = TwinRegistered(), [], 1
    for rows in packs:
        start = data.draw(st.integers(0, len(rows) - 1))
        end = data.draw(st.integers(start + 1, len(rows)))
        text = pack_of(rows)
        assert [one[:4] for one in consent_packs.columns_of(text)] == [(*one[:2], *one[2:4]) for one in rows]
        parts.append(consent_packs.page_of(consent_packs.cut(text, start, end), 1, row + start))
        assert plain.take(page_of(rows[start:end], row + start)) == (1, row + end - 1)
        row += len(rows)
    for made in (consent_rows.registered, TwinRegistered):
        rows_of_packs = made()
        assert rows_of_packs.take(ROW.join(parts)) == (1, row - len(packs[-1]) + end - 1)
        assert answers(rows_of_packs) == answers(plain)


BEGINS = MEMBER.join(("1", "5", *map(str, (GOOD[0], *GOOD[2:6])), "m-1", "form"))
GOES_ON = MEMBER.join(("m-2", "form"))


@pytest.mark.parametrize("made", [consent_rows.registered, TwinRegistered])
@pytest.mark.parametrize(
    "page",
    [
        GOES_ON,
        MEMBER.join(BEGINS.split(MEMBER)[2:]),
        BEGINS + ROW + MEMBER + "form",
        BEGINS + ROW + BEGINS,
        BEGINS + ROW + page_of([GOOD[:6]], 6) + ROW + GOES_ON,
        BEGINS.replace(MEMBER + "5" + MEMBER, MEMBER + str(2**63 - 1) + MEMBER, 1) + ROW + GOES_ON,
        BEGINS.replace("BASIC", "GOLD") + ROW + GOES_ON,
        BEGINS + ROW + MEMBER.join(("merchant", "GOLD", "1", "0", "5", "m-3", "form")),
        BEGINS + ROW + MEMBER.join(("x", "BASIC", "1", "0", "5", "m-3", "form")),
    ],
)
def test_a_row_that_goes_on_where_no_pack_began_or_with_what_is_no_row_is_refused(
    made: Any, page: str
) -> None:
    rows = made()
    assert rows.take(BEGINS + ROW + GOES_ON) == (1, 6)
    assert rows.merchant("m-2") is not None
    fresh = made()
    with pytest.raises(ValueError, match=r"^no page of the registry$"):
        fresh.take(page)
    assert len(fresh) == 0


@pytest.mark.parametrize("made", [consent_rows.registered, TwinRegistered])
@pytest.mark.parametrize("places", [[(1, 2), (1, 1)], [(2, 1), (1, 9)], [(1, 1), (1, 1)], [(0, 0)]])
def test_rows_out_of_order_are_refused_since_the_later_word_is_the_one_that_holds(
    made: Any, places: list[tuple[int, int]]
) -> None:
    page = ROW.join(MEMBER.join(map(str, (*GOOD[:6], *place))) for place in places)
    with pytest.raises(ValueError, match=r"^no page of the registry$"):
        made().take(page)


@pytest.mark.parametrize("made", [consent_rows.registered, TwinRegistered])
def test_each_of_many_parties_has_its_own_word_and_a_stranger_has_none(made: Any) -> None:
    rows, count = made(), 60_000
    said = [
        ("platform" if n % 7 == 0 else "merchant", f"m-{n}", "BASIC", f"t{n % 50}", n, FOREVER_MS)
        for n in range(count)
    ]
    for start in range(0, count, 1_000):
        rows.take(page_of(said[start : start + 1_000], start + 1))
    assert len(rows) == count
    for n in range(0, count, 3):
        of, other = (rows.platform, rows.merchant) if n % 7 == 0 else (rows.merchant, rows.platform)
        assert of(f"m-{n}") == (int(Tier.BASIC), n, FOREVER_MS, f"{said[n][0]}/m-{n}/t{n % 50}/basic")
        assert other(f"m-{n}") is None
        assert of(f"m-{n + count}") is None


def registered_as(snapshot: PolicySnapshot) -> Registered:
    """The consents of a policy's documents as the registry would have them."""
    sides: list[tuple[str, Mapping[str, ConsentSetting]]] = [
        ("merchant", snapshot.merchants),
        ("platform", snapshot.platforms),
    ]
    said = [
        (party, name, one.tier.name, one.terms_version, one.valid_from_ms, one.valid_until_ms)
        for party, settings_of in sides
        for name, one in settings_of.items()
    ]
    rows = consent_rows.registered()
    if said:
        rows.take(page_of(said))
    return rows


def entries_of(table: ReleaseTable) -> list[ProgramEntry]:
    return [entry for issuer in table.issuers.values() for entry in issuer.programs + issuer.after]


@given(SEEDS)
@settings(max_examples=60, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@example(1)
def test_what_the_registry_knows_decides_as_if_the_documents_said_it_whatever_they_say(seed: int) -> None:
    source = Random(seed)
    documents = policy_of(source)
    said = snapshot_of(documents)
    others = snapshot_of(policy_of(source))
    # Only of whom the registry knows do the documents say something else.
    by_registry = replace(
        said,
        merchants={name: one for name, one in others.merchants.items() if name in said.merchants},
        platforms={name: one for name, one in others.platforms.items() if name in said.platforms},
    )
    table, registered = compile_table(said), compile_table(by_registry)
    registered.consents.follow(registered_as(said))
    for plain in (query_of(source, bounds_of(documents)) for _ in range(40)):
        query: Query = as_query(plain)
        for ours, theirs in zip(entries_of(registered), entries_of(table), strict=True):
            expected = theirs.release(query)
            assert ours.release(query) == expected
            assert ours.release_by_twin(query) == expected


def a_release() -> tuple[ReleaseTable, ProgramEntry, Query]:
    for seed in range(100):
        source = Random(seed)
        documents = policy_of(source)
        table = compile_table(snapshot_of(documents))
        for plain in (query_of(source, bounds_of(documents)) for _ in range(40)):
            query = as_query({**plain, "below_quality": frozenset()})
            for entry in entries_of(table):
                if isinstance(entry.release(query), Release):
                    return table, entry, query
    raise AssertionError("no policy released anything")


def test_what_is_said_between_two_questions_of_one_payment_holds_from_the_second_on() -> None:
    table, entry, query = a_release()
    rows = consent_rows.registered()
    table.consents.follow(rows)
    assert isinstance(entry.release(query), Release)
    party, party_id = (
        ("merchant", query.merchant_id) if query.merchant_id else ("platform", query.platform_id)
    )
    rows.take(page_of([(party, party_id, "OPTED_OUT", "2026-2", 0, FOREVER_MS)], 1))
    assert entry.release(query) == Withhold(Reason.MERCHANT_OPTED_OUT)
    rows.take(page_of([(party, party_id, "NONE", "2026-3", 0, FOREVER_MS)], 2))
    assert entry.release(query) == Withhold(Reason.MERCHANT_CONSENT_MISSING)


def test_an_import_comes_into_force_between_two_questions_and_all_of_it() -> None:
    table, entry, query = a_release()
    rows = consent_rows.registered()
    table.consents.follow(rows)
    # Many, so that what comes into force is not put among the others at once.
    rows.take(page_of([("merchant", f"x-{n}", "BASIC", "1", 0, FOREVER_MS) for n in range(500)]))
    said = [("merchant", f"x-{n}", "NONE", "2", 0, FOREVER_MS) for n in range(500)]
    sides = (("merchant", query.merchant_id), ("platform", query.platform_id))
    said += [(party, party_id, "OPTED_OUT", "2", 0, FOREVER_MS) for party, party_id in sides if party_id]
    rows.stage(page_of(said))
    assert isinstance(entry.release(query), Release)
    rows.enforce()
    assert entry.release(query) == Withhold(Reason.MERCHANT_OPTED_OUT)
    taken = [("merchant", "x-7", "ENHANCED", "3", 0, FOREVER_MS)]
    rows.take(page_of(taken))
    while not rows.settle(64):
        assert rows.merchant("x-7") == (int(Tier.ENHANCED), 0, FOREVER_MS, "merchant/x-7/3/enhanced")
        assert rows.merchant("x-499") == (int(Tier.NONE), 0, FOREVER_MS, "merchant/x-499/2/none")
    assert rows.merchant("x-7") == (int(Tier.ENHANCED), 0, FOREVER_MS, "merchant/x-7/3/enhanced")


def test_a_table_follows_one_registry_and_no_other() -> None:
    table, _, _ = a_release()
    rows = consent_rows.registered()
    table.consents.follow(rows)
    table.consents.follow(rows)
    with pytest.raises(ValueError, match="another registry"):
        table.consents.follow(consent_rows.registered())
