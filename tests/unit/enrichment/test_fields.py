"""The dictionary of fields."""

import csv
import doctest
import hashlib
import importlib
from pathlib import Path

import pytest

from enrichment import fields
from enrichment.masked import Pan
from tests.unit.enrichment.requests import PAN, payment

ROOT = Path(__file__).parents[3]
GIVEN = ROOT.parent / "shared" / "fields.csv"


def test_a_number_once_given_is_never_used_for_another_field() -> None:
    # Add fields at the end and this hash anew; a changed or moved name breaks every mask ever written.
    names = "\n".join(f"{field.number} {field.name}" for field in fields.FIELDS)
    digest = hashlib.sha256(names.encode()).hexdigest()
    assert digest == "8079a7f5a1365f3afbe6f16891ab2c9bf18307880acb40db2b8dd21e0619034b"


def test_every_field_fits_the_mask_and_stands_at_its_number() -> None:
    assert len(fields.FIELDS) <= fields.MASK_BITS
    assert [field.number for field in fields.FIELDS] == list(range(len(fields.FIELDS)))
    assert len(fields.FIELD_BY_NAME) == len(fields.FIELDS)


def test_only_low_and_pseudonymous_results_may_stand_outside_sealed_bytes() -> None:
    clear = [field for field in fields.FIELDS if field.clear_ok]
    assert {field.group for field in clear} == {"score", "velocity", "auth"}
    assert {field.sensitivity for field in clear} <= {"A", "Y"}
    assert fields.CLEAR_MASK & fields.PERSONAL_MASK == 0


def test_a_mask_and_its_names_say_the_same() -> None:
    names = [field.name for field in fields.FIELDS]
    assert list(fields.names_of(fields.mask_of(names))) == names
    with pytest.raises(fields.UnknownFieldError):
        fields.mask_of(["no_such_field"])


NAMED_OTHERWISE = {"reported_at + effective_at": {"reported_at", "effective_at"}}
STAND_BESIDE_THE_FIELDS = {"share_id", "pan_token"}
"""In the sealed body itself: `share_id`, and `card_token` with its epoch."""

COUNTED = {
    f"{what}_{window}"
    for what in (
        "card_attempts", "ip_attempts", "device_attempts", "email_attempts", "merchants_per_card",
        "cards_per_ip", "cards_per_device", "cards_per_email",
    )
    for window in ("10m", "1h", "24h", "7d")
}  # fmt: skip
NOT_GIVEN = {
    "phone_hash", "ip_asn", "email_domain_type", "device_on_card_age_days", "amount_to_card_mean",
    "amount_to_merchant_mean", "merchant_fraud_rate_bp", "merchant_dispute_rate_bp", "card_testing",
    "caller_assessments", "iin_country", "iin_funding", "iin_product",
} | COUNTED - {
    "card_attempts_10m", "ip_attempts_10m", "device_attempts_10m", "cards_per_email_24h",
}  # fmt: skip
"""Of our own making."""


def test_every_field_of_the_given_list_is_there_with_its_class_and_group() -> None:
    if not GIVEN.exists():
        pytest.skip("the list that the table was made from is not beside this checkout")
    with GIVEN.open() as lines:
        rows = [row for row in csv.DictReader(lines) if row["group"] != "outcome"]
    told = {
        name: (row["group"], row["class"])
        for row in rows
        for name in NAMED_OTHERWISE.get(row["field"], {row["field"]})
        if name not in STAND_BESIDE_THE_FIELDS
    }
    ours = {field.name: (field.group, field.sensitivity) for field in fields.FIELDS}
    assert {name: of for name, of in ours.items() if name not in NOT_GIVEN} == told
    assert ours.keys() >= NOT_GIVEN


@pytest.mark.parametrize(
    "module",
    [
        "card",
        "disposable",
        "fields",
        "masked",
        "phones",
        "postal",
        "quality",
        "families.identity",
        "providers.iin",
        "scoring.points",
    ],
)
def test_examples_in_docstrings_hold(module: str) -> None:
    result = doctest.testmod(importlib.import_module(f"enrichment.{module}"))
    assert result.attempted > 0
    assert result.failed == 0


def test_a_card_number_shows_nowhere_but_where_it_is_asked_for() -> None:
    pan = Pan(PAN)
    assert PAN not in repr(pan) + str(pan)
    assert PAN not in f"{[pan]}"
    assert pan.digits() == PAN
    with pytest.raises(TypeError, match="never formatted"):
        f"{pan}"


def test_a_payment_shows_no_personal_data_and_forgets_its_card_number() -> None:
    checked = payment()
    assert PAN not in repr(checked)
    assert "gmx" not in repr(checked)
    assert checked.billing is not None
    assert "Main" not in repr(checked.billing)
    checked.drop_pan()
    assert checked.pan is None
