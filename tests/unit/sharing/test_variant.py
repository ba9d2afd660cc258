"""The variant of an enrolment stands with each of its decisions in the record."""

from gateway.programs.documents import load_policy
from gateway.programs.table import compile_table
from tests.kit.payments import payment
from tests.unit.sharing.kit import NOW_MS, Kit, sample_files

FILE = "enrolments/northgate-bank-risk-score.yaml"


def recorded(variant: str) -> dict[str, set[str]]:
    """Program to the variants that its decisions have in the journal."""
    text = sample_files()[FILE].replace("state: active", f"state: active\nvariant: {variant}")
    kit = Kit(table=compile_table(load_policy({**sample_files(), FILE: text}, version=8)))
    kit.answers(*(payment(number, now_ms=NOW_MS) for number in range(1, 30)))
    found: dict[str, set[str]] = {}
    for record in kit.journal.records():
        for decision in record.decisions:
            if decision.enrolment_id:
                found.setdefault(decision.program, set()).add(decision.variant)
    return found


def test_the_record_of_each_decision_names_the_variant_of_its_enrolment() -> None:
    assert recorded("narrow") == {"enhanced-data": {"default"}, "risk-score": {"narrow"}}
