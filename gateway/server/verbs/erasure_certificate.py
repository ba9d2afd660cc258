"""The certificate of an erasure: what was asked, who was told and answered, what is gone, and when."""

from collections.abc import Sequence
from contextlib import closing
from typing import Any, Final

from gateway.backends.embedded.delivery_reader import SqliteDeliveryReader
from gateway.feeds.delivery import KEEP_SEALED_MS
from gateway.programs.subjects import CaseEvent, CaseKind, CaseState, SubjectRefused, ToldByHand
from gateway.sealing.keys import Signer
from gateway.sealing.signed_json import signed_json
from gateway.server.state import StateDir

CERTIFICATE_TYPE: Final = "ein-erasure+jwt"
"""`typ` of the signed one: no other token of ours passes for it."""


def certificate(
    state: StateDir, steps: list[CaseEvent], told_by_hand: Sequence[ToldByHand] = ()
) -> dict[str, Any]:
    """What stands of an erasure now. `certified_at_ms` is 0 while something is still to come."""
    asked = steps[0]
    if asked.kind is not CaseKind.ERASURE:
        raise SubjectRefused("case: this is an objection; only an erasure has a certificate")
    notices, forgotten = [], None
    if state.feeds_db.exists():
        with closing(SqliteDeliveryReader(state.feeds_db)) as reader:
            notices, forgotten = reader.notices(asked.case_id), reader.erasure(asked.case_id)
    by_hand = {
        one.recipient_id: {"actor": one.actor, "at_ms": one.at_ms, "evidence": one.evidence}
        for one in told_by_hand
    }
    recipients: dict[str, dict[str, Any]] = {}
    for one in notices:
        row = recipients.setdefault(
            one.recipient_id,
            {
                "shares": 0, "told_at_ms": one.told_at_ms, "answered_at_ms": 0, "refused": "",
                "told_by_hand": by_hand.get(one.recipient_id),
            },
        )  # fmt: skip
        first = not row["shares"]
        row["shares"] += one.shares
        row["refused"] = row["refused"] or one.error_code
        # A case with many shares has several orders: answered is who has answered each.
        waits = not one.answered_at_ms or not (first or row["answered_at_ms"])
        row["answered_at_ms"] = 0 if waits else max(row["answered_at_ms"], one.answered_at_ms)
    certified = next((one.at_ms for one in steps if one.state is CaseState.CERTIFIED), 0)
    return {
        "case_id": asked.case_id,
        "asked_at_ms": asked.at_ms,
        "asked_by": asked.actor,
        "recipients": recipients,
        "forgotten_at_ms": 0 if forgotten is None else forgotten[1],
        "sealed_bodies_gone_by_ms": asked.at_ms + KEEP_SEALED_MS,
        "certified_at_ms": certified,
    }


def signed_certificate(found: dict[str, Any], signer: Signer, *, iss: str) -> str:
    """The certificate as a compact JWS, for whoever asked."""
    return signed_json(signer, CERTIFICATE_TYPE, {"iss": iss, **found}).decode("ascii")
