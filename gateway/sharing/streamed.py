"""Items of a stream on the wire: what was asked with its budget, and what it is answered with."""

from gateway.sharing.items import INVALID_ARGUMENT, Refusal, Result, request_id_of
from gateway.sharing.wire import delimited, tag
from issuernetwork.v1 import common_pb2, enrichment_pb2

ITEMS_OF_STREAM = 1
"""Field number of the items, in both directions."""

MAX_BUDGET_MS = 60_000
"""Of an item (contract). A payment waits for seconds at most."""

_REQUEST, _BUDGET = tag(1)[0], 2 << 3
_ITEM, _REQUEST_ID, _RESPONSE, _ERROR = tag(ITEMS_OF_STREAM), tag(1), tag(2), tag(3)
_SMALL = 128  # a varint of one byte
_MEDIUM = 16_384  # of two


class ItemRefused(Exception):
    """One item cannot be served as it is."""

    def __init__(self, refusal: Refusal, payload: bytes = b"") -> None:
        super().__init__(refusal.message)
        self.refusal = refusal
        self.payload = payload
        """The request, as far as it could be read."""


def item_of(item: bytes) -> tuple[bytes, int]:
    """The request as it was sent and its budget in milliseconds, 0 for none. Raises ItemRefused."""
    # As every writer of protobuf orders them: the request, then the budget where there is one.
    if len(item) > 2 and item[0] == _REQUEST:
        size, at = item[1], 2
        if size >= _SMALL and item[2] < _SMALL:
            size, at = size & 127 | item[2] << 7, 3
        end = at + size
        rest = len(item) - end
        if size < _MEDIUM and (not rest or (rest in (2, 3) and item[end] == _BUDGET)):
            if not rest:
                return item[at:end], 0
            if rest == 2 and item[end + 1] < _SMALL:
                return item[at:end], item[end + 1]
            if rest == 3 and item[end + 1] >= _SMALL > item[end + 2]:
                return item[at:end], item[end + 1] & 127 | item[end + 2] << 7
    try:
        parsed = enrichment_pb2.StreamedAuthorization.FromString(item)
    except Exception:  # the parser's own text could hold what was sent
        raise ItemRefused(_NO_ITEM) from None
    payload = parsed.request.SerializeToString()
    if not 0 <= parsed.budget_ms <= MAX_BUDGET_MS:
        raise ItemRefused(_NO_BUDGET, payload)
    return payload, parsed.budget_ms


_NO_ITEM = Refusal(INVALID_ARGUMENT, "item is not a message of this method: send protobuf")
_NO_BUDGET = Refusal(INVALID_ARGUMENT, f"budget_ms: send 1 to {MAX_BUDGET_MS}, or leave it out")


def streamed(payload: bytes, result: Result) -> bytes:
    """What a stream carries for the request `payload`: one item, as a field of the message around it."""
    if isinstance(result, bytes):
        # A response begins with its request_id, which has the same number here.
        head = result[: 2 + result[1]] if result[:1] == _REQUEST_ID and result[1] < _SMALL else b""
        return delimited(_ITEM, head + delimited(_RESPONSE, result))
    request_id = request_id_of(payload).encode()
    head = delimited(_REQUEST_ID, request_id) if request_id else b""
    return delimited(_ITEM, head + delimited(_ERROR, item_error(result)))


def item_error(refusal: Refusal) -> bytes:
    """The error of one item, of a batch as of a stream."""
    return enrichment_pb2.ItemError(
        code=refusal.code,
        message=refusal.message,
        field_issues=[
            common_pb2.FieldIssue(field=name, code=code, mend=mend) for name, code, mend in refusal.issues
        ],
    ).SerializeToString()
