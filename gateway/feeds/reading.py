"""What fan-out needs of the journal's records, read at once: their messages make each value anew."""

from collections.abc import Callable
from typing import Final, NamedTuple

from gateway.records.rows import make_read_row, make_row_of
from issuernetwork.storage.v1 import journal_pb2 as storage


class DecisionSeen(NamedTuple):
    """Of storage.v1.Decision."""

    share_id: str
    outcome: int
    program: str
    recipient_id: str
    profile: str
    transports: tuple[int, ...]
    expires_at_ms: int
    consent_id: str
    match_keys: tuple[str, ...]
    sealed: bytes

    def __repr__(self) -> str:
        return f"DecisionSeen(share_id={self.share_id!r})"


class MatchSeen(NamedTuple):
    """Of v1.MatchReferences: implements `matching.ReferencesLike`."""

    network_match_key: str
    acquiring_institution_id: str
    stan: str
    transmission_date_time: str
    retrieval_reference_number: str
    amount_minor: int
    currency: str
    iin: str
    last4: str
    card_acceptor_id: str

    def __repr__(self) -> str:
        return "MatchSeen(****)"


class EvaluationSeen(NamedTuple):
    """Of storage.v1.Evaluation."""

    evaluation_id: str
    sender_id: str
    merchant_id: str
    platform_id: str
    payment_intent_id: str
    attempt_no: int
    issuer_id: str
    initiated_at_ms: int
    decided_at_ms: int
    unit_key: bytes
    card_key: bytes
    match: MatchSeen
    amount_minor: int
    currency: str
    channel: int
    mcc: str
    cardholder_region: str
    merchant_country: str
    decisions: tuple[DecisionSeen, ...]

    def __repr__(self) -> str:
        return f"EvaluationSeen(evaluation_id={self.evaluation_id!r})"


read_evaluation: Final = make_read_row(EvaluationSeen, storage.Evaluation)
"""Of an entry's payload. Raises DecodeError."""

decision_seen: Final[Callable[[storage.Decision], DecisionSeen]] = make_row_of(DecisionSeen)
"""Of a decision in memory."""
