"""What came of an authorization, as a payment service reports it: checked by hand."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from enrichment.formats import (
    CURRENCY,
    ID,
    MALFORMED,
    MISSING,
    OUT_OF_RANGE,
    TOO_MANY,
    Format,
    StringField,
    StringGroup,
    matcher,
)
from enrichment.payment import Issue
from issuernetwork.v1 import common_pb2, outcomes_pb2

SKEW_MS = 60_000
"""How far ahead of our clock a report may be (docs/reference/errors.md, field issues)."""

TRANSMITTED_SHARES = 16
"""One share a program ahead of the authorization; no issuer has more programs than this."""

AMOUNT_MINOR_LIMIT = 10**15
"""Above any amount of DE4 (n12), in any currency."""

_SHARE_ID = Format("[a-z2-7]{26}", 26, "send the share_id of a decision")
_is_share_id = matcher(_SHARE_ID)
_RESPONSE_CODE = {
    0: Format("[0-9A-Za-z]{2,4}", 4, "send DE39 as it came, and its scheme"),
    1: Format("[0-9A-Za-z]{2}", 2, "send the 2 letters or digits of DE39 (1987)"),
    2: Format("[0-9]{3}", 3, "send the 3 digits of DE39 (1993)"),
    3: Format("[0-9]{4}", 4, "send the 4 digits of DE39 (2003)"),
}
_STRINGS = StringGroup(
    "",
    StringField("outcome_id", ID, required=True),
    StringField("payment_intent_id", ID, required=True),
    StringField("currency", CURRENCY),
    StringField("fee_currency", CURRENCY),
    StringField(
        "advice_code", Format("[0-9A-Za-z]{2}", 2, "send the 2 letters or digits of the advice code")
    ),
    StringField(
        "authorization_id_response", Format("[0-9A-Za-z ]{1,6}", 6, "send DE38: up to 6 letters and digits")
    ),
    StringField("network_transaction_id", ID),
    StringField("supersedes_outcome_id", ID),
)
_STRING_NAMES = (
    "outcome_id", "payment_intent_id", "currency", "fee_currency", "advice_code",
    "authorization_id_response", "network_transaction_id", "supersedes_outcome_id",
)  # fmt: skip
_fits_scheme = {scheme: matcher(one) for scheme, one in _RESPONSE_CODE.items()}
_AMOUNTS = ("requested_minor", "approved_minor")
_FEES = ("interchange_minor", "scheme_fee_minor")


@dataclass(frozen=True, slots=True)
class CheckedOutcome:
    """An outcome fit to be recorded, with the optional fields that were dropped; or why it is refused."""

    outcome: outcomes_pb2.OutcomeEvent | None
    issues: tuple[Issue, ...]


def check_outcome(event: outcomes_pb2.OutcomeEvent, now_ms: int) -> CheckedOutcome:
    """Required: outcome_id, payment_intent_id, kind, occurred_at_ms. Bad optional fields are dropped."""
    issues: list[Issue] = []
    refusals: list[Issue] = []
    checked = outcomes_pb2.OutcomeEvent()
    checked.CopyFrom(event)
    # Fields of a later contract were checked by nobody: nothing of them is recorded.
    checked.DiscardUnknownFields()
    for name, value in zip(_STRING_NAMES, _STRINGS.read(event, issues, refusals), strict=True):
        setattr(checked, name, value)
    if event.kind not in (1, 2, 3):
        refusals.append(("kind", MISSING, "send a kind of OutcomeKind"))
    if not 0 < event.occurred_at_ms <= now_ms + SKEW_MS:
        refusals.append(("occurred_at_ms", OUT_OF_RANGE, "send UTC epoch milliseconds that are not ahead"))
    if event.attempt_no < 0:
        refusals.append(("attempt_no", OUT_OF_RANGE, "send 1 for the first attempt"))
    if refusals:
        return CheckedOutcome(None, tuple(refusals))
    checked.attempt_no = event.attempt_no or 1
    _optional(event, checked, now_ms, issues)
    return CheckedOutcome(checked, tuple(issues))


def _optional(
    event: outcomes_pb2.OutcomeEvent,
    checked: outcomes_pb2.OutcomeEvent,
    now_ms: int,
    issues: list[Issue],
) -> None:
    def drop(name: str, code: str, mend: str) -> None:
        checked.ClearField(name)
        issues.append((name, code, mend))

    if not event.reported_at_ms:
        checked.reported_at_ms = event.occurred_at_ms
    elif not event.occurred_at_ms <= event.reported_at_ms <= now_ms + SKEW_MS:
        drop("reported_at_ms", OUT_OF_RANGE, "send a time from occurred_at_ms to now")
        checked.reported_at_ms = event.occurred_at_ms
    for name in _AMOUNTS:
        if not 0 <= getattr(event, name) < AMOUNT_MINOR_LIMIT:
            drop(name, OUT_OF_RANGE, "send minor units, 0 or more")
    for name in _FEES:
        if abs(getattr(event, name)) >= AMOUNT_MINOR_LIMIT:
            drop(name, OUT_OF_RANGE, "send minor units")
    if event.issuer_latency_ms < 0:
        drop("issuer_latency_ms", OUT_OF_RANGE, "send milliseconds, 0 or more")
    if event.network not in common_pb2.Network.values():
        drop("network", OUT_OF_RANGE, "send a network of Network")
    if event.response_code_scheme not in _RESPONSE_CODE:
        drop("response_code_scheme", OUT_OF_RANGE, "send a scheme of ResponseCodeScheme")
    scheme = int(checked.response_code_scheme)
    if event.response_code and not _fits_scheme[scheme](event.response_code):
        drop("response_code", MALFORMED, _RESPONSE_CODE[scheme].mend)
    _shares(event, checked, drop)


def _shares(
    event: outcomes_pb2.OutcomeEvent,
    checked: outcomes_pb2.OutcomeEvent,
    drop: Callable[[str, str, str], None],
) -> None:
    shares: Sequence[str] = event.transmitted_share_ids
    if len(shares) > TRANSMITTED_SHARES:
        drop("transmitted_share_ids", TOO_MANY, f"send at most {TRANSMITTED_SHARES}")
        return
    kept = [share for share in shares if _is_share_id(share)]
    if len(kept) < len(shares):
        drop("transmitted_share_ids", MALFORMED, _SHARE_ID.mend)
        checked.transmitted_share_ids.extend(kept)
