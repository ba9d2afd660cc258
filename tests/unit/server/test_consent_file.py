"""Consents from a file: what is staged is what each of its rows says, whatever the rows beside it are."""

import csv
import io
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.backends.embedded.consents import SqliteConsents
from gateway.programs.consents import ConsentRefused, Party
from gateway.programs.model import FOREVER_MS, Tier
from gateway.runtime.clock import SimClock
from gateway.runtime.native import engines
from gateway.server.cli import consent_buckets, consent_file
from gateway.server.cli.consent_buckets import PACK_ROWS, TwinBuckets
from gateway.server.cli.consent_file import (
    BLOCK_CHARACTERS,
    BURST_NS,
    COLUMNS,
    ERRORS_TOLD,
    REST,
    ROWS_A_LOOK,
    ROWS_A_S,
    Pace,
    stage,
)

GOOD = ["merchant", "m-1", "enhanced", "2026-11", "contract 1", "2025-01-01", ""]
DAY_MS = 24 * 3600 * 1000


def file_of(rows: list[list[str]]) -> io.StringIO:
    file = io.StringIO()
    csv.writer(file).writerows([COLUMNS, *rows])
    file.seek(0)
    return file


def no_rest(_rows: int) -> None:
    """Nobody waits."""


@pytest.fixture
def store(tmp_path: Path) -> Any:
    made = SqliteConsents(str(tmp_path / "consents.sqlite3"), SimClock())
    yield made
    made.close()


def imported(store: SqliteConsents, rows: list[list[str]]) -> int:
    import_id = store.start_import(actor="a", reason="r")
    count = stage(store, import_id, file_of(rows), no_rest)
    store.finish_import(import_id)
    return count


def test_every_row_is_staged_once_and_its_party_is_answered_for(store: SqliteConsents) -> None:
    count = 4 * PACK_ROWS + 7
    rows = [
        [
            "platform" if n % 3 == 0 else "merchant",
            f"m-{n}",
            "basic",
            f"t{n % 2}",
            f"form {n}",
            "1970-01-02",
            "",
        ]
        for n in range(count)
    ]
    assert imported(store, rows) == count
    assert store._db.execute("select sum(row_count), count(*) from packs").fetchone()[0] == count
    for n in range(0, count, 97):
        party = Party.PLATFORM if n % 3 == 0 else Party.MERCHANT
        (said,) = store.said(party, f"m-{n}")
        assert (said.setting.terms_version, said.setting.evidence) == (f"t{n % 2}", f"form {n}")
        assert (said.setting.tier, said.setting.valid_from_ms) == (Tier.BASIC, DAY_MS)
        assert said.setting.valid_until_ms == FOREVER_MS


def test_of_a_party_that_stands_twice_in_a_file_the_last_row_holds_however_far_apart(
    store: SqliteConsents, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consent_file, "buckets", lambda says: consent_buckets.buckets(says, 2, 3))
    tiers = ["enhanced", "basic", "none", "opted-out", "basic", "none"]
    rows = [
        ["merchant", f"m-{n}", tier, "2026", f"form {turn}", "2025-01-01", ""]
        for turn, tier in enumerate(tiers)
        for n in range(20)
    ]
    assert imported(store, rows) == 120
    for n in range(20):
        told = store.said(Party.MERCHANT, f"m-{n}")[::-1]
        assert [one.setting.evidence for one in told] == [f"form {turn}" for turn in range(6)]
        assert told[-1].setting.tier is Tier.NONE


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        (0, "acquirer", "party is merchant or platform"),
        (1, "", "party_id"),
        (1, " ", "party_id"),
        (1, "m" * 65, "party_id"),
        (1, "m\x1f1", "party_id"),
        (2, "gold", "tier one of"),
        (3, "", "terms_version"),
        (3, "t\x1e", "terms_version"),
        (4, "", "evidence"),
        (4, "e" * 257, "evidence"),
        (4, "CANARY\nx", "evidence"),
        (5, "2025-13-01", "valid_from"),
        (6, "2024-01-01", "valid_until"),
    ],
)
@pytest.mark.parametrize("place", [0, ROWS_A_LOOK - 1, ROWS_A_LOOK, 3 * PACK_ROWS])
def test_a_mistake_is_told_by_its_line_and_member_and_nothing_holds(
    store: SqliteConsents, column: int, value: str, said: str, place: int
) -> None:
    rows = [[*GOOD[:1], f"m-{n}", *GOOD[2:]] for n in range(3 * PACK_ROWS + 1)]
    rows[place][column] = value
    import_id = store.start_import(actor="a", reason="r")
    with pytest.raises(ConsentRefused) as refused:
        stage(store, import_id, file_of(rows), no_rest)
    told = refused.value.public
    assert told.startswith("nothing was imported:")
    assert f"line {place + 2}: " in told
    assert said in told
    assert "CANARY" not in told
    assert told.count("line ") == 1
    store.abandon_import(import_id)
    assert store._db.execute("select count(*) from packs").fetchone() == (0,)


def test_lines_of_other_lengths_are_mistakes_empty_ones_are_none_and_the_first_mistakes_are_told(
    store: SqliteConsents,
) -> None:
    import_id = store.start_import(actor="a", reason="r")
    with pytest.raises(ConsentRefused) as refused:
        stage(store, import_id, file_of([GOOD, [], GOOD[:6], [*GOOD, "x"], GOOD]), no_rest)
    assert refused.value.public.splitlines()[1:] == [
        "  line 4: it takes 7 columns",
        "  line 5: it takes 7 columns",
    ]
    with pytest.raises(ConsentRefused) as refused:
        stage(store, import_id, file_of([["x"]] * 100), no_rest)
    assert refused.value.public.count("line ") == ERRORS_TOLD
    assert imported(store, [GOOD, [], GOOD]) == 2
    assert imported(store, []) == 0


@pytest.mark.parametrize("place", [0, ROWS_A_LOOK - 1, ROWS_A_LOOK, 3 * PACK_ROWS])
def test_a_line_that_cannot_be_read_is_a_mistake_by_its_number(store: SqliteConsents, place: int) -> None:
    rows = [[*GOOD[:1], f"m-{n}", *GOOD[2:]] for n in range(3 * PACK_ROWS + 1)]
    lines = [",".join(row) for row in rows]
    lines[place] = lines[place].replace("contract 1", '"CANARY')
    # Longer than the csv module takes: all of the rest is in the quotes.
    lines += [lines[-1].replace('"', "")] * 4_000
    import_id = store.start_import(actor="a", reason="r")
    with pytest.raises(ConsentRefused) as refused:
        stage(store, import_id, io.StringIO("\n".join([",".join(COLUMNS), *lines])), no_rest)
    told = refused.value.public
    assert f"line {place + 2}: it cannot be read" in told
    assert told.count("line ") == 1
    assert "CANARY" not in told


def test_a_mistake_below_a_line_break_in_quotes_has_the_number_of_its_line(store: SqliteConsents) -> None:
    broken = [*GOOD[:4], "form\n1", *GOOD[5:]]
    wrong = [*GOOD[:2], "gold", *GOOD[3:]]
    import_id = store.start_import(actor="a", reason="r")
    with pytest.raises(ConsentRefused) as refused:
        stage(store, import_id, file_of([GOOD, broken, GOOD, wrong, broken, wrong]), no_rest)
    numbers = [row.split(":")[0] for row in refused.value.public.splitlines()[1:]]
    assert numbers == ["  line 3", "  line 6", "  line 7", "  line 9"]


@pytest.mark.parametrize("first", ["", "x" * 200_000, "party,party_id", ",".join(reversed(COLUMNS))])
def test_a_file_without_its_first_line_is_refused(store: SqliteConsents, first: str) -> None:
    import_id = store.start_import(actor="a", reason="r")
    with pytest.raises(ConsentRefused, match="first line"):
        stage(store, import_id, io.StringIO(first + "\nmerchant,m-1\n"), no_rest)


CELLS = [
    st.sampled_from(["merchant", "platform", "merchant", "x"]),
    st.sampled_from(["m-1", "m-2", "店", " ", "x" * 65, "a b", "\x1f", '"', "a,b"]),
    st.sampled_from(["basic", "enhanced", "none", "opted-out", "gold"]),
    st.sampled_from(["1", "2", "", "ß"]),
    st.sampled_from(["form 1", "form, 2", "e" * 257, "", "é"]),
    st.sampled_from(["2025-01-01", "2025-02-01", "x"]),
    st.sampled_from(["", "2026-01-01", "2024-01-01"]),
]


@given(st.lists(st.lists(st.tuples(*CELLS).map(list) | st.just([]) | st.just(["x"]), max_size=4), max_size=4))
@settings(max_examples=200, deadline=None)
def test_rows_that_are_looked_at_together_come_to_the_same_as_each_alone(
    parts: list[list[list[str]]],
) -> None:
    rows = [row for part in parts for row in part]
    together: list[str] = []
    alone: list[str] = []
    found = consent_file._checked(rows, range(2, len(rows) + 2), together)
    each = [consent_file._checked([row], [number], alone) for number, row in enumerate(rows, 2)]
    assert together == alone
    assert list(zip(*found, strict=True)) == [one for some in each for one in zip(*some, strict=True)]


def test_it_rests_between_pieces_of_a_file_and_between_packs(store: SqliteConsents) -> None:
    rows = [[*GOOD[:1], f"m-{n}", *GOOD[2:]] for n in range(2_000)]
    rests: list[int] = []

    read = 0

    def rest(rows: int) -> None:
        nonlocal read
        read += rows
        (staged,) = store._db.execute("select coalesce(sum(row_count), 0) from packs").fetchone()
        rests.append(staged)

    stage(store, store.start_import(actor="a", reason="r"), file_of(rows), rest)
    assert read == 2_000
    assert len(rests) > 2 * 2_000 * len(",".join(GOOD)) / BLOCK_CHARACTERS
    assert max(after - before for before, after in pairwise(rests)) < 2 * PACK_ROWS


def test_it_rests_by_what_it_worked_and_by_how_many_rows_it_read_since_it_began() -> None:
    worked_ns = now_ns = 0
    rested_s: list[float] = []
    pace = Pace(lambda: worked_ns, lambda: now_ns, rested_s.append)
    worked_ns += BURST_NS - 1
    pace.rest(1)
    assert rested_s == [], "the burst is not over"
    worked_ns += 1
    pace.rest(1)
    assert rested_s == [pytest.approx(BURST_NS * REST / 1e9)]
    worked_ns += BURST_NS
    pace.rest(998)
    assert rested_s[1] == pytest.approx(1_000 / ROWS_A_S)
    # Late by far: it rests no less than what it worked asks for.
    now_ns += 1_000_000_000
    worked_ns += 9 * BURST_NS
    pace.rest(0)
    assert rested_s[2] == pytest.approx(9 * BURST_NS * REST / 1e9)
    worked_ns += BURST_NS
    pace.rest(ROWS_A_S)
    assert rested_s[3] == pytest.approx(1_000 / ROWS_A_S)


PLAIN = [
    st.sampled_from(["merchant", "platform"]),
    st.sampled_from([f"m-{n}" for n in range(40)]),
    st.sampled_from(["basic", "enhanced", "none"]),
    st.sampled_from(["1", "2", "a b"]),
    st.sampled_from(["form 1", "form/2"]),
    st.sampled_from(["2025-01-01", "2025-02-01"]),
    st.sampled_from(["", "2026-01-01"]),
]


@pytest.mark.skipif(engines is None, reason="the engines of native/ are not built here")
@given(
    st.lists(st.tuples(*PLAIN).map(list) | st.just([]) | st.tuples(*CELLS).map(list), max_size=40),
    st.integers(1, 4),
    st.integers(1, 6),
    st.sampled_from([16, 200, 100_000]),
    st.sampled_from(["\n", "\r\n"]),
)
@settings(max_examples=400, deadline=None)
def test_the_engine_reads_a_file_as_its_twin_does(
    rows: list[list[str]], bits: int, pack_rows: int, block: int, end: str
) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end).writerows(rows)
    told: list[Any] = []
    for made in (consent_buckets.buckets(consent_file._says, bits, pack_rows), TwinBuckets(bits, pack_rows)):
        mistakes: list[str] = []
        packs: list[Any] = []
        lines = 0
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(consent_file, "BLOCK_CHARACTERS", block)
            try:
                for read, some in consent_file._read(io.StringIO(text.getvalue()), made, mistakes):
                    lines += read
                    packs += some
            except ConsentRefused as refused:
                packs.append(refused.public)
        told.append((mistakes, lines, packs, made.left() if not mistakes else None))
    assert told[0] == told[1]


@pytest.mark.skipif(engines is None, reason="the engines of native/ are not built here")
@pytest.mark.parametrize(
    "wrong",
    ['"m-1"', "m\t1", "é", "m-1,x", "x" * 65, "  ", "\x7f"],
)
def test_what_is_not_plain_or_wrong_is_left_to_the_twins_reader_and_nothing_of_its_block_is_kept(
    wrong: str,
) -> None:
    made = consent_buckets.buckets(consent_file._says)
    good = ",".join(GOOD) + "\n"
    assert made.lines(good) == (1, [])
    assert made.lines(good + good.replace("m-1", wrong)) is None
    assert made.lines(good.replace("enhanced", "gold")) is None
    ((_, rows, _, _),) = made.left()
    assert rows == 1
