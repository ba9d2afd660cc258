"""`ein audit` says what was found so that a person and a machine can read it."""

import pytest

from gateway.ledger.heads import HeadInvalid
from gateway.sealing.set import sign_set
from gateway.sealing.signer import LocalSigner
from gateway.server.cli.audit import render_report, signature_check
from tests.kit.jwks import public_jwks
from tests.unit.ledger.kit import CHAIN, KEY, Ledger, changed


def test_a_report_names_kind_place_and_numbers(ledger: Ledger) -> None:
    ledger.share(1, 2, 3)
    text = render_report(ledger.verify())
    assert f"  {CHAIN:<24}{3:>12} entries" in text
    assert text.endswith("the ledger is intact")
    ledger.put(1, changed(ledger.entries()[1]))
    report = ledger.verify()
    text = render_report(report)
    assert f"  EDITED {CHAIN} 1: the one behind it names another hash" in text
    assert text.endswith("THE LEDGER WAS TAMPERED WITH")
    [finding] = report.as_json()["findings"]  # type: ignore[misc]
    assert finding == {
        "kind": "edited", "place": CHAIN, "first": 1, "last": 1,
        "detail": "the one behind it names another hash",
    }  # fmt: skip


def test_no_value_of_an_entry_is_in_a_report(ledger: Ledger) -> None:
    ledger.share(1, 2, 3)
    ledger.put(1, changed(ledger.entries()[1]).replace(b"northgate", b"CANARYgat"))
    report = ledger.verify()
    assert not report.intact
    assert "CANARY" not in render_report(report) + str(report.as_json())


def test_a_token_of_another_type_that_we_signed_is_no_head() -> None:
    check = signature_check(public_jwks((KEY,)))
    with pytest.raises(HeadInvalid, match="another type"):
        check(sign_set(LocalSigner(KEY), {"number": 1}))
