"""A cardholder's card is found under every epoch in which a recipient ever had a token of it."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from enrichment.masked import Pan
from gateway.backends.embedded.keyfiles import OwnKeys, create_keys
from gateway.backends.embedded.recipient_files import publish_recipient_keys
from gateway.programs.subjects import CaseKind, SubjectRefused
from gateway.runtime.clock import SystemClock
from gateway.runtime.entropy import SystemEntropy
from gateway.sealing.pseudonyms import Pseudonyms
from gateway.sealing.token_epochs import EpochChange, TokenEpochs
from gateway.server.verbs.subjects import CardNamed, SubjectDesk
from tests.unit.ledger.kit import SSF, Ledger, decision, evaluation
from tests.unit.sharing.kit import sample_pairs

BANK, OTHER = "northgate-bank", "harbor-federal"
PAN, STRANGER = "9010010100000007", "9010010100000015"
DAY_MS = 24 * 3_600_000


class Rig:
    """A ledger with shares whose payments named the card otherwise each time: only tokens lead to them."""

    def __init__(self, folder: Path) -> None:
        self.ledger = Ledger(folder)
        state, now_ms = self.ledger.state, SystemClock().wall_ms()
        own = create_keys(state.keys, SystemEntropy(), make_passphrase=True, scrypt_log2_n=4)
        for name in (BANK, OTHER):
            public = sample_pairs()[name][0]
            publish_recipient_keys(state.keys, name, json.dumps({"keys": [public]}))
        changes = (
            EpochChange(2, now_ms - 20 * DAY_MS, now_ms - 10 * DAY_MS),
            EpochChange(3, now_ms - DAY_MS, now_ms + DAY_MS),
            EpochChange(4, now_ms + 9 * DAY_MS, now_ms + 10 * DAY_MS),
        )
        self.own: OwnKeys = replace(own, token_epochs=TokenEpochs({BANK: changes}))
        self.tokens = Pseudonyms(own.mac_keys).card_tokens
        self.desk = SubjectDesk(state, SystemClock(), own_keys=lambda: self.own)
        self._next = 0

    def share(self, recipient_id: str, epoch: int, *, previous: int = 0, pan: str = PAN) -> str:
        self._next += 1
        made = decision(f"share-{self._next}", recipient_id=recipient_id, transports=(SSF,))
        made.card_token, made.token_epoch = self.tokens(recipient_id, epoch)(pan), epoch
        if previous:
            made.previous_card_token = self.tokens(recipient_id, previous)(pan)
        record = evaluation(self._next, made)
        record.unit_key = bytes([self._next]) * 16
        self.ledger.gateway.append("evaluations", [record.SerializeToString()])
        self.ledger.send(self._next)
        self.ledger.step()
        return made.share_id

    def found(self, card: CardNamed) -> set[str]:
        return {one.share_id for one in self.desk.show(card)[0].disclosures}


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.ledger.close()


def test_a_card_is_found_by_its_number_under_each_epoch_of_each_recipient_and_no_other_card_is(
    rig: Rig,
) -> None:
    shares = {rig.share(BANK, epoch) for epoch in (1, 2, 3)} | {rig.share(OTHER, 1)}
    others = {rig.share(BANK, epoch, pan=STRANGER) for epoch in (1, 3)}
    assert rig.found(CardNamed(pan=Pan(PAN))) == shares
    assert rig.found(CardNamed(pan=Pan(STRANGER))) == others


def test_a_token_of_any_epoch_leads_to_the_shares_of_all_that_one_payment_joins(rig: Rig) -> None:
    old, both = rig.share(BANK, 2), rig.share(BANK, 3, previous=2)
    for epoch in (2, 3):
        token = rig.tokens(BANK, epoch)(PAN)
        assert rig.found(CardNamed(card_token=token)) == {old, both}
    with pytest.raises(SubjectRefused, match="nothing was ever shared"):
        rig.found(CardNamed(card_token=rig.tokens(BANK, 1)(PAN)))


def test_a_card_that_was_first_seen_in_an_overlap_is_found_by_the_older_of_its_tokens_too(rig: Rig) -> None:
    share = rig.share(BANK, 3, previous=2)
    assert rig.found(CardNamed(card_token=rig.tokens(BANK, 2)(PAN))) == {share}


@pytest.mark.parametrize("kind", list(CaseKind))
def test_a_case_names_what_shares_of_every_epoch_are_about(rig: Rig, kind: CaseKind) -> None:
    for epoch in (1, 2, 3):
        rig.share(BANK, epoch)
    opened = rig.desk.open([kind], CardNamed(pan=Pan(PAN)), actor="ops", reason="letter")
    named = set(rig.desk.case(opened.case_ids[0])[0].unit_keys)
    assert {bytes([number]) * 16 for number in (1, 2, 3)} <= named
