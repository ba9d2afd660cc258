"""E-mail addresses and telephone numbers leave as hashes of one form, by the recipient's own key."""

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from gateway.programs.documents import load_policy
from gateway.programs.table import ReleaseTable, compile_table
from gateway.sealing.pseudonyms_macs import ContactHashes
from gateway.sealing.token_epochs import EpochChange, TokenEpochs
from issuernetwork.token_keys import TokenKey
from tests.kit.payments import HARBOR
from tests.unit.sharing.kit import NOW_MS, Kit, Macs, requests, sample_files
from tests.unit.sharing.opened import released

BANK = "harbor-federal"
VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "golden" / "contact.json").read_text())
HASHES = ("email_hash", "phone_hash")


@lru_cache(maxsize=1)
def table() -> ReleaseTable:
    """The sample, in which Harbor gets hashes beside the address and in place of the number."""
    files = {**sample_files()}
    program, enrolment = "programs/enhanced-data.yaml", f"enrolments/{BANK}-enhanced-data.yaml"
    for name in (program, enrolment):
        files[name] = re.sub(r"( +)- email\n", r"\1- email\n\1- email_hash\n\1- phone_hash\n", files[name])
    return compile_table(load_policy(files, version=7))


def key(epoch: int) -> TokenKey:
    return TokenKey(epoch, 0, 0, 0, Macs().token(BANK, epoch).secret)


def fields(*asked: Any, epochs: TokenEpochs | None = None) -> list[tuple[str, dict[str, Any]]]:
    """(request id, fields) of what Harbor opens."""
    kit = Kit(table=table())
    kit.token_epochs = epochs or TokenEpochs()
    kit.results(*asked)
    assert not kit.faults
    found = [
        (record.request_id, body["fields"])
        for record, decision, body in released(kit)
        if decision.program == "enhanced-data"
    ]
    assert found
    return found


@pytest.mark.parametrize("vector", VECTORS["emails"] + VECTORS["phones"], ids=lambda vector: vector["name"])
def test_what_a_request_holds_is_hashed_in_the_form_of_the_vectors(vector: dict[str, Any]) -> None:
    if not vector["request"]:
        pytest.skip("a request may not hold it: receivers bring their own data into form")
    kind = "email" if "email_hash" in vector else "phone"
    # An address of the vectors is nobody's, and so below the quality that is shared.
    given, normal = (real(vector[name]) for name in ("given", "normal"))
    asked = requests(20, iin=HARBOR)
    for request in asked:
        setattr(request.customer, "email" if kind == "email" else "phone_e164", given)
    secret = Macs().token(BANK, 1).secret
    hashed = ContactHashes(secret).contact_hash(f"{kind}_hash", normal)
    for _, found in fields(*asked):
        assert found[f"{kind}_hash"] == [{"token_epoch": 1, "hash": hashed}]
        assert kind != "email" or found["email"] == normal


def real(text: str) -> str:
    return text.replace(".example", ".net").replace(".EXAMPLE", ".NET")


def test_an_address_that_is_nobodys_is_hashed_as_little_as_it_is_shared() -> None:
    asked = requests(20, iin=HARBOR)
    for request in asked:
        request.customer.email, request.customer.phone_e164 = "jane@mail.example", "+15555555555"
    assert all({*HASHES, "email", "phone_e164"}.isdisjoint(found) for _, found in fields(*asked))


def test_a_hash_is_under_a_label_of_its_own_and_never_the_clear_value() -> None:
    asked = requests(20, iin=HARBOR)
    given = {request.request_id: request.customer for request in asked}
    for request_id, found in fields(*asked):
        customer = given[request_id]
        ((mail,), (phone,)) = (found[name] for name in HASHES)
        assert mail["hash"] == key(1).email_hash(customer.email) != key(1).card_token(customer.email)
        assert phone["hash"] == key(1).phone_hash(customer.phone_e164) != mail["hash"]
        assert customer.phone_e164 not in str(found)


def test_in_an_overlap_both_epochs_hash_the_one_in_use_first() -> None:
    epochs = TokenEpochs({BANK: (EpochChange(2, NOW_MS, NOW_MS + 1),)})
    asked = requests(20, iin=HARBOR)
    given = {request.request_id: request.customer.email for request in asked}
    for request_id, found in fields(*asked, epochs=epochs):
        email = given[request_id]
        assert found["email_hash"] == [
            {"token_epoch": epoch, "hash": key(epoch).email_hash(email)} for epoch in (2, 1)
        ]


def test_a_hash_tells_its_epoch_where_there_is_no_card_number() -> None:
    asked = requests(20, iin=HARBOR)
    for number, request in enumerate(asked):
        request.card.card_ref, request.card.iin, request.card.last4 = f"r{number}", HARBOR, "0007"
    for _, found in fields(*asked):
        assert [one["token_epoch"] for one in found["email_hash"]] == [1]


def test_without_the_value_and_without_a_rule_there_is_no_hash() -> None:
    asked = requests(20, iin=HARBOR)
    for request in asked:
        request.customer.email = ""
    assert all("email_hash" not in found and "phone_hash" in found for _, found in fields(*asked))
    kit = Kit()
    kit.results(*requests(20, iin=HARBOR))
    assert not [body for _, _, body in released(kit) if set(HASHES) & set(body["fields"])]
