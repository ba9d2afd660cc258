"""Rows of an erased card, of its payments and of its shares are gone from every file, and stay gone."""

from collections.abc import Sequence
from typing import Any

import pyarrow.parquet as pq
import pytest

from gateway.measurement.ports import CASES
from gateway.measurement.tables import DECISIONS, LABELS, OUTCOMES, RECEIPTS
from gateway.measurement.tail import Tail
from gateway.programs.subjects import EFFECT_MS, CaseEvent, CaseKind, CaseState
from gateway.records import journal
from gateway.server.measure.erasures import LakeErasures
from issuernetwork.v1 import feed_pb2
from tests.unit.measurement.lake_records import Lab, decision, evaluation, fraud_label, outcome, receipt

GONE, STAYS = "gone", "stays"


def unit(card: str) -> bytes:
    return card.encode().ljust(16, b"\0")


class Registry:
    """Cases as the registry lists them."""

    def __init__(self) -> None:
        self.steps: list[CaseEvent] = []

    def ask(self, kind: CaseKind, card: str, *, at_ms: int = 5_000) -> None:
        number = len(self.steps) + 1
        self.steps.append(
            CaseEvent(
                case_id=number, kind=kind, state=CaseState.RECEIVED, unit_keys=(unit(card),), epoch=number,
                actor="a", reason="r", at_ms=at_ms,
            )
        )  # fmt: skip

    def events(self, after: int, most: int) -> tuple[list[CaseEvent], int]:
        found = self.steps[after : after + most]
        return found, after + len(found)


def fill(lab: Lab) -> None:
    for card in (GONE, STAYS):
        label = fraud_label(card, label_id=f"l-{card}", reported_at_ms=1_500)
        label.unit_key = unit(card)
        lab.journals.add(
            journal.EVALUATIONS,
            *(evaluation(f"{card}-{n}", decision(share_id=f"s-{card}-{n}"), card=card) for n in range(3)),
        )
        lab.journals.add(journal.OUTCOMES, *(outcome(f"{card}-{n}", approved=True) for n in range(3)))
        lab.journals.add(journal.RECEIPTS, receipt(f"s-{card}-1", feed_pb2.RECEIPT_USE_USED))
        lab.journals.add(journal.LABELS, label)
    lab.catch_up()


def rows(lab: Lab, table: str) -> list[dict[str, Any]]:
    """Of the files that the manifest names."""
    files = [lab.folder / "lake" / name for name in lab.manifest.files(table)]
    return [row for path in files for row in pq.read_table(path).to_pylist()]


def counts(lab: Lab) -> Sequence[int]:
    return [len(rows(lab, table)) for table in (DECISIONS, OUTCOMES, RECEIPTS, LABELS)]


def test_an_erasure_takes_the_card_out_of_every_table_and_leaves_the_others(lab: Lab) -> None:
    fill(lab)
    before = counts(lab)
    registry = Registry()
    registry.ask(CaseKind.OBJECTION, STAYS)
    registry.ask(CaseKind.ERASURE, GONE)
    erasures = LakeErasures(registry, lab.writer)
    assert erasures.step() == sum(before) // 2
    assert counts(lab) == [count // 2 for count in before]
    assert GONE not in str([rows(lab, table) for table in (DECISIONS, OUTCOMES, RECEIPTS, LABELS)])
    assert unit(GONE).hex() not in str(rows(lab, DECISIONS) + rows(lab, LABELS))
    assert erasures.step() == 0


def test_an_erasure_is_carried_out_once_and_known_again_after_a_restart(lab: Lab) -> None:
    fill(lab)
    registry = Registry()
    registry.ask(CaseKind.ERASURE, GONE)
    assert LakeErasures(registry, lab.writer).step() > 0
    lab.close()
    lab.open()
    assert lab.writer.offsets()[CASES] == 1
    again = LakeErasures(registry, lab.writer)
    assert again.step() == 0
    assert again.known.erased_until_ms == {unit(GONE): 5_000 + EFFECT_MS}


def test_what_was_decided_before_an_erasure_and_comes_later_does_not_enter_the_lake(lab: Lab) -> None:
    registry = Registry()
    registry.ask(CaseKind.ERASURE, GONE)
    erasures = LakeErasures(registry, lab.writer)
    erasures.step()
    lab.tail = Tail(readers=lab.journals.readers, writer=lab.writer, erased=erasures.known.erased_until_ms)
    lab.journals.add(
        journal.EVALUATIONS,
        evaluation("before", decision(), card=GONE, decided_at_ms=4_999 + EFFECT_MS),
        evaluation("after", decision(), card=GONE, decided_at_ms=5_000 + EFFECT_MS),
        evaluation("other", decision(), card=STAYS, decided_at_ms=1),
        evaluation("by-par", decision(), card="par", card_key=unit(GONE), decided_at_ms=1),
    )
    lab.catch_up()
    assert [row["payment_intent_id"] for row in rows(lab, DECISIONS)] == ["after", "other"]


@pytest.mark.parametrize("of_before", [False, True])
def test_a_card_known_by_its_par_is_erased_by_its_number(lab: Lab, *, of_before: bool) -> None:
    """Also beside files of before there was a second name."""
    if of_before:
        fill(lab)
        for name in lab.manifest.files(DECISIONS) + lab.manifest.files(LABELS):
            path = lab.folder / "lake" / name
            pq.write_table(pq.read_table(path).drop_columns(["card_key"]), path)
    label = fraud_label("by-par", label_id="l-par", reported_at_ms=1_500)
    label.unit_key, label.card_key = unit("par"), unit(GONE)
    lab.journals.add(
        journal.EVALUATIONS,
        evaluation("by-par", decision(share_id="s-par"), card="par", card_key=unit(GONE)),
        evaluation("else", decision(share_id="s-else"), card="par", card_key=unit(STAYS)),
    )
    lab.journals.add(journal.OUTCOMES, outcome("by-par", approved=True), outcome("else", approved=True))
    lab.journals.add(journal.LABELS, label)
    lab.catch_up()
    registry = Registry()
    registry.ask(CaseKind.ERASURE, GONE)
    LakeErasures(registry, lab.writer).step()
    everything = [rows(lab, table) for table in (DECISIONS, OUTCOMES, RECEIPTS, LABELS)]
    assert "by-par" not in str(everything)
    assert "else" in str(everything)
    lab.lake.refresh()
    (count,) = lab.lake._database.sql("select count(*) from decisions").fetchall()
    assert count == (len(everything[0]),), "old files and new ones are read together"


def test_a_crash_in_the_middle_of_an_erasure_leaves_it_to_be_done_again(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(lab)
    registry = Registry()
    registry.ask(CaseKind.ERASURE, GONE)
    commit, left = lab.manifest.commit, [2]

    def crash(**change: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError("planted")
        commit(**change)

    with monkeypatch.context() as planted:
        planted.setattr(lab.manifest, "commit", crash)
        with pytest.raises(OSError, match="planted"):
            LakeErasures(registry, lab.writer).step()
    lab.close()
    lab.open()
    assert LakeErasures(registry, lab.writer).step() > 0
    assert GONE not in str([rows(lab, table) for table in (DECISIONS, OUTCOMES, RECEIPTS, LABELS)])
