"""How much of a content key is used, and by whom."""

from typing import Any

from gateway.sealing.jwe import Held
from tests.unit.sharing.kit import SHARED, Kit, parsed, shared_one


class Broken:
    """Makes no share."""

    def seal(self, *parts: Any) -> list[Any]:
        raise OSError("no share today")


def _held(kit: Kit) -> Held:
    (held,) = kit.gateway._share_sealer._sealer._cached.values()
    return held


def test_a_share_that_fails_counts_as_a_message_and_its_payment_goes_on_unshared() -> None:
    kit = Kit()
    request = shared_one(kit)
    (answer,) = kit.answers(request)
    shared = sum(one.status == SHARED for one in answer.decisions)
    sealer: Any = kit.gateway._share_sealer
    left, real = _held(kit).messages_left, sealer._shares
    sealer._shares = Broken()
    request.request_id, request.payment_intent_id = "again", "again"
    (result,) = kit.results(request)
    assert not [one for one in parsed(result).decisions if one.status == SHARED]
    assert [stage for stage, _ in kit.faults] == ["seal"]
    assert _held(kit).messages_left == left - shared
    sealer._shares = real
    request.request_id, request.payment_intent_id = "third", "third"
    assert any(one.status == SHARED for one in kit.answers(request)[0].decisions)
    sealed = [one.sealed for record in kit.journal.records() for one in record.decisions if one.sealed]
    nonces = {one.split(b".")[2] for one in sealed}
    assert len(nonces) == len(sealed) == 2 * shared
