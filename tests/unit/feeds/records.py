"""Journal entries and ports for tests of the feeds."""

from collections.abc import Sequence
from pathlib import Path

from gateway.backends.embedded.delivery import SqliteDeliveryStore
from gateway.outcomes.matching import match_keys
from gateway.records.journal import Entry
from gateway.records.reasons import Reason
from gateway.sealing.keys import SignatureAlgorithm
from issuernetwork.storage.v1 import journal_pb2 as storage
from issuernetwork.v1 import common_pb2 as v1

BASE_MS = 1_700_000_000_000
EXPIRES_MS = BASE_MS * 2
SSF, LOOKUP, MESSAGE = v1.TRANSPORT_SSF, v1.TRANSPORT_LOOKUP, v1.TRANSPORT_MESSAGE


def references(number: int) -> v1.MatchReferences:
    return v1.MatchReferences(
        acquiring_institution_id="400001",
        retrieval_reference_number=f"{number:012d}",
        amount_minor=1000 + number,
        currency="USD",
        iin="90100101",
        last4="0042",
        card_acceptor_id="ACCEPTOR-1",
        attempted_at_ms=BASE_MS + number,
    )


def decision(
    share_id: str,
    *,
    program: str = "risk-score",
    recipient_id: str = "northgate-bank",
    transports: Sequence[int] = (SSF, LOOKUP),
    sealed: bytes = b"e30.a.b.c.d",
) -> storage.Decision:
    return storage.Decision(
        program=program,
        share_id=share_id,
        outcome=storage.DECISION_OUTCOME_RELEASED,
        recipient_id=recipient_id,
        transports=transports,  # type: ignore[arg-type]
        sealed=sealed,
        expires_at_ms=EXPIRES_MS,
    )


def evaluation(number: int, *decisions: storage.Decision, **changes: object) -> storage.Evaluation:
    record = storage.Evaluation(
        evaluation_id=f"evaluation-{number}",
        request_id=f"request-{number}",
        sender_id="payments",
        merchant_id="m-0001",
        platform_id="plat-1",
        payment_intent_id=f"payment-{number}",
        attempt_no=1,
        issuer_id="northgate-bank",
        initiated_at_ms=BASE_MS + number,
        unit_key=b"u" * 16,
        match=references(number),
        channel=v1.CHANNEL_ECOM,
        mcc="5411",
        amount_minor=1000 + number,
        currency="USD",
        cardholder_region="US",
        merchant_country="US",
        decisions=decisions,
    )
    for name, value in changes.items():
        setattr(record, name, value)
    for one in record.decisions:
        one.match_keys.extend(match_keys(record.match))
    return record


def entries(records: Sequence[storage.Evaluation | storage.LabelRecord], *, first: int = 0) -> list[Entry]:
    return [Entry(first + place, record.SerializeToString()) for place, record in enumerate(records)]


class FakeSigner:
    """Counts its signatures, so that a test sees what was signed twice."""

    kid = "sig-test"
    alg = SignatureAlgorithm.ES256

    def __init__(self) -> None:
        self.count = 0

    def sign(self, signing_input: bytes) -> bytes:
        self.count += 1
        return self.count.to_bytes(64, "big")


class FakeSwitches:
    """Stops by (program, issuer_id)."""

    def __init__(self) -> None:
        self.epoch = 0
        self.stops: dict[tuple[str, str], Reason] = {}

    def stop(self, program: str, issuer_id: str = "northgate-bank") -> None:
        self.epoch += 1
        self.stops[program, issuer_id] = Reason.KILLED

    def stopped(self, program: str, issuer_id: str) -> Reason | None:
        return self.stops.get((program, issuer_id))


def quick_store(path: Path) -> SqliteDeliveryStore:
    """A store that waits for no disk: these tests kill no machine, and a shared disk is slow."""
    store = SqliteDeliveryStore(path)
    store._connection.rows("pragma synchronous = off")
    return store
