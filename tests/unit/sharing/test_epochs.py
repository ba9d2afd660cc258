"""A share carries the token of the epoch in use, and while two overlap that of the one before as well."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.programs.table import ReleaseTable
from gateway.sealing.pseudonyms import Pseudonyms
from gateway.sealing.token_epochs import EpochChange, TokenEpochs
from tests.kit.payments import HARBOR, MERIDIAN
from tests.unit.sharing.kit import NOW_MS, Kit, Macs, requests, sample_table
from tests.unit.sharing.opened import released

BANK = "harbor-federal"
FROM_MS, BOTH_UNTIL_MS = NOW_MS + 1_000, NOW_MS + 5_000
CHANGE = TokenEpochs({BANK: (EpochChange(2, FROM_MS, BOTH_UNTIL_MS),)})


def token(recipient_id: str, epoch: int, pan: str) -> str:
    return Pseudonyms(Macs()).card_tokens(recipient_id, epoch)(pan)


def shared(at_ms: int, *asked: Any, epochs: TokenEpochs = CHANGE) -> list[tuple[Any, Any]]:
    """(decision, opened body) of what is shared of the payments at that time."""
    kit = Kit()
    kit.token_epochs = epochs
    kit.clock.jump_wall_ms(at_ms - NOW_MS)
    kit.results(*asked)
    assert not kit.faults
    found = [(decision, body) for _, decision, body in released(kit)]
    assert found
    return found


@pytest.mark.parametrize(
    ("at_ms", "epoch", "previous"),
    [(FROM_MS - 1, 1, 0), (FROM_MS, 2, 1), (BOTH_UNTIL_MS - 1, 2, 1), (BOTH_UNTIL_MS, 2, 0)],
)
def test_the_epoch_is_told_by_time_and_both_tokens_are_given_in_the_overlap_alone(
    at_ms: int, epoch: int, previous: int
) -> None:
    asked = requests(20, iin=HARBOR)
    pans = {request.request_id: request.card.pan for request in asked}
    card_of = {token(BANK, epoch, pan): pan for pan in pans.values()}
    for decision, body in shared(at_ms, *asked):
        pan = card_of[body["card_token"]]
        assert (body["token_epoch"], body["recipient_id"]) == (epoch, BANK)
        older = token(BANK, previous, pan) if previous else ""
        assert body["match"].get("previous_card_token", "") == older
        assert body["match"].get("previous_token_epoch", 0) == previous
        assert set(body["match"]) == {"keys", "attempted_at_ms"} | (
            {"previous_card_token", "previous_token_epoch"} if previous else set()
        )
        written = (decision.card_token, decision.token_epoch, decision.previous_card_token)
        assert written == (body["card_token"], epoch, older)


def test_another_recipient_stays_in_its_own_epoch() -> None:
    asked = requests(30, iin=MERIDIAN) + requests(30, iin=HARBOR, prefix="h")
    epochs = {body["recipient_id"]: body["token_epoch"] for _, body in shared(FROM_MS, *asked)}
    assert epochs == {BANK: 2, "meridian-cards": 1}


@pytest.mark.parametrize("changing", [BANK, "meridian-cards"])
def test_of_two_recipients_of_one_payment_none_gets_a_token_of_the_other(changing: str) -> None:
    """No policy has it today: all programs of an issuer go to its one recipient."""
    kit = Kit(table=to_another_too())
    kit.token_epochs = TokenEpochs({changing: (EpochChange(2, NOW_MS, NOW_MS + 1),)})
    asked = {request.request_id: request.card.pan for request in requests(30, iin=HARBOR)}
    kit.results(*requests(30, iin=HARBOR))
    found: dict[str, set[str]] = {}
    for record, decision, body in released(kit):
        pan, recipient_id = asked[record.request_id], decision.recipient_id
        epoch, previous = (2, 1) if recipient_id == changing else (1, 0)
        assert body["card_token"] == token(recipient_id, epoch, pan)
        older = token(recipient_id, previous, pan) if previous else None
        assert body["match"].get("previous_card_token") == older
        found.setdefault(record.request_id, set()).add(recipient_id)
    assert [both for both in found.values() if len(both) == 2]


def to_another_too() -> ReleaseTable:
    """The sample, in which each of Harbor's programs goes to Meridian too, before and after it."""
    table = sample_table()
    harbor = table.issuers[BANK]
    twice = tuple(
        replace(entry, recipient_id=recipient_id)
        for entry in harbor.programs
        for recipient_id in ("meridian-cards", BANK, "meridian-cards")
    )
    made = replace(harbor, programs=twice)
    owners = [made if owner is harbor else owner for owner in table._owners]
    return replace(table, issuers={**table.issuers, BANK: made}, _owners=owners)


def test_each_payment_of_a_batch_has_the_tokens_of_its_own_card() -> None:
    asked = requests(40, iin=HARBOR)
    found = shared(FROM_MS, *asked)
    current = {token(BANK, 2, request.card.pan): token(BANK, 1, request.card.pan) for request in asked}
    assert len({body["card_token"] for _, body in found}) > 5
    for _, body in found:
        assert body["match"]["previous_card_token"] == current[body["card_token"]]


def test_without_a_card_number_there_is_no_token_of_either_epoch() -> None:
    asked = requests(30, iin=HARBOR)
    for number, request in enumerate(asked):
        request.card.card_ref, request.card.iin, request.card.last4 = f"ref-{number}", HARBOR, "0007"
    for decision, body in shared(FROM_MS, *asked):
        assert (body["card_token"], body["token_epoch"]) == ("", 0)
        assert set(body["match"]) == {"keys", "attempted_at_ms"}
        assert (decision.card_token, decision.token_epoch, decision.previous_card_token) == ("", 0, "")


def test_a_clock_that_is_set_back_brings_no_epoch_back() -> None:
    kit = Kit()
    kit.token_epochs = CHANGE
    for number, jump_ms in enumerate((0, BOTH_UNTIL_MS - NOW_MS, NOW_MS - BOTH_UNTIL_MS)):
        kit.clock.jump_wall_ms(jump_ms)
        kit.results(*requests(20, iin=HARBOR, prefix=f"round-{number}"))
    found = [(decision.token_epoch, decision.previous_card_token) for _, decision, _ in released(kit)]
    epochs = [epoch for epoch, _ in found]
    assert epochs == sorted(epochs)
    assert {1, 2} == set(epochs)
    assert epochs.count(2) > epochs.count(1), "those of the last round too"
    assert {older for _, older in found} == {""}


def test_a_change_of_the_schedule_is_taken_up_between_two_batches() -> None:
    kit = Kit()
    kit.results(*requests(20, iin=HARBOR))
    kit.token_epochs = TokenEpochs({BANK: (EpochChange(2, NOW_MS, NOW_MS),)})
    kit.results(*requests(20, iin=HARBOR, prefix="later"))
    epochs = [body["token_epoch"] for _, _, body in released(kit)]
    assert set(epochs) == {1, 2}
    assert epochs == sorted(epochs)
