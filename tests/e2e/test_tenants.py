"""The tenant matrix: three tenants, every method, ids of their own, of others, of who has gone, and guessed.

What is not a tenant's own answers alike, whether it exists or not, and has no effect.
"""

import itertools
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from gateway.records.access import ACCESS, HTTP_ACCESS, POLL_ROUTE, denial
from gateway.server.identity import revoke_tokens
from issuernetwork.v1 import feed_pb2, outcomes_pb2
from tests.kit.feeds_process import until
from tests.kit.installation import Installation
from tests.kit.tenants import BANKS, GONE, GUESSED, KINDS, MADE, METHODS, Names, Tenants, policy, request_of

SENDERS = tuple(one for one in BANKS if one != GONE)
TENANT_ROLES = {"caller", "issuer"}
OPEN_TO_TENANTS = tuple(path for path in sorted(METHODS) if ACCESS[path] & TENANT_ROLES)
CLOSED_TO_TENANTS = tuple(path for path in sorted(METHODS) if not ACCESS[path] & TENANT_ROLES)
ECHOED = ("request_id", "evaluation_id", "share_id", "match_key", "expires_at_ms", "assessments", "elements")
"""Of an answer: what says which payment it is, and what its own payments alone explain."""


@pytest.fixture(scope="module")
def tenants(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenants]:
    installation = Installation(tmp_path_factory.mktemp("tenants"), policy=policy())
    for sender_id in BANKS:
        installation.token(sender_id, "caller")
    with installation:
        found = Tenants(installation)
        found.pay_all()
        for sender_id in SENDERS:
            until(lambda own=found.names[sender_id]: looked_up(found, own, own))  # type: ignore[misc]
        # Who has gone: what it had is there, and nobody is left who may ask for it.
        for principal_id in (GONE, BANKS[GONE][0]):
            revoke_tokens(installation.state, principal_id=principal_id)
        until(lambda: answer(found, "/issuernetwork.v1.FeedService/Lookup", found.names[GONE], "own")[0]
              is grpc.StatusCode.UNAUTHENTICATED)  # fmt: skip
        yield found


def looked_up(tenants: Tenants, own: Names, names: Names) -> bool:
    path = "/issuernetwork.v1.FeedService/Lookup"
    _, (found,) = tenants.call(path, own.recipient_id, request_of(tenants, path, own, names))
    return bool(found.match == feed_pb2.MATCH_RESULT_UNIQUE)


def answer(tenants: Tenants, path: str, own: Names, kind: str, role: str = "issuer") -> Any:
    names = own if kind == "own" else tenants.of_kind(own.sender_id, kind)
    principal_id = own.recipient_id if role == "issuer" else own.sender_id
    return tenants.call(path, principal_id, request_of(tenants, path, own, names))


def told(message: Any) -> Any:
    """An answer without what says which payment it is about."""
    plain = type(message)()
    plain.CopyFrom(message)
    _strip(plain)
    return plain


def _strip(message: Any) -> None:
    for one, value in message.ListFields():
        if one.name in ECHOED:
            message.ClearField(one.name)
        elif one.type == one.TYPE_MESSAGE:
            for inner in value if not hasattr(value, "ListFields") else [value]:
                _strip(inner)


def comparable(answered: Any) -> Any:
    return ("OK", [told(one) for one in answered[1]]) if answered[0] == "OK" else answered


def test_every_method_that_tenants_may_call_is_in_the_matrix_by_a_request_of_its_own() -> None:
    assert {METHODS[path].name for path in OPEN_TO_TENANTS} == set(MADE)
    assert len(METHODS) == len(ACCESS)


@pytest.mark.parametrize(("sender_id", "path"), [*itertools.product(SENDERS, CLOSED_TO_TENANTS)])
@pytest.mark.parametrize("role", sorted(TENANT_ROLES))
def test_what_is_not_for_tenants_is_denied_alike_whatever_it_is_asked_about(
    tenants: Tenants, sender_id: str, role: str, path: str
) -> None:
    own = tenants.names[sender_id]
    answers = [answer(tenants, path, own, kind, role) for kind in KINDS]
    assert answers == [(grpc.StatusCode.PERMISSION_DENIED, denial(path), [])] * len(KINDS)


@pytest.mark.parametrize(("sender_id", "path"), [*itertools.product(SENDERS, OPEN_TO_TENANTS)])
@pytest.mark.parametrize("role", sorted(TENANT_ROLES))
def test_what_is_not_ones_own_answers_alike_whether_it_exists_or_not(
    tenants: Tenants, sender_id: str, role: str, path: str
) -> None:
    own = tenants.names[sender_id]
    answers = {kind: comparable(answer(tenants, path, own, kind, role)) for kind in KINDS}
    if role not in ACCESS[path]:
        denied = (grpc.StatusCode.PERMISSION_DENIED, denial(path), [])
        assert answers == dict.fromkeys(KINDS, denied)
        return
    assert answers["own"][0] == "OK", answers["own"]
    assert answers["others"] == answers["guessed"]
    assert answers["deleted"] == answers["guessed"]


@pytest.mark.parametrize("sender_id", SENDERS)
def test_ones_own_is_found_where_anothers_is_not(tenants: Tenants, sender_id: str) -> None:
    own = tenants.names[sender_id]
    found = {kind: looked_up(tenants, own, tenants.of_kind(sender_id, kind)) for kind in KINDS}
    assert found == {"own": True, "others": False, "deleted": False, "guessed": False}
    path = "/issuernetwork.v1.FeedService/ReportReceipts"
    recorded = {kind: answer(tenants, path, own, kind)[1][0].results[0].recorded for kind in KINDS}
    assert recorded == {"own": True, "others": False, "deleted": False, "guessed": False}


@pytest.mark.parametrize("sender_id", SENDERS)
@pytest.mark.parametrize("route", sorted(HTTP_ACCESS))
def test_over_http_what_is_anothers_answers_as_what_is_not_there(
    tenants: Tenants, sender_id: str, route: str
) -> None:
    own = tenants.names[sender_id]
    answers = {
        kind: tenants.http(own.recipient_id, route, tenants.of_kind(sender_id, kind)) for kind in KINDS
    }
    assert answers["others"] == answers["deleted"] == answers["guessed"]
    # A payment service has nothing here, not even by its bank's name.
    as_caller = [tenants.http(sender_id, route, tenants.of_kind(sender_id, kind)) for kind in KINDS]
    assert [status for status, _, _ in as_caller] == [404] * len(KINDS)
    assert as_caller == [as_caller[0]] * len(KINDS)
    if "{" in route:
        assert answers["own"][0] != 404
        assert answers["guessed"] == as_caller[0]
    if route == POLL_ROUTE:
        assert (answers["own"][0], own.share_id.encode() in answers["own"][2]) == (200, True)


def test_nothing_that_was_said_about_anothers_payment_reaches_its_owner(tenants: Tenants) -> None:
    path, watch = (
        "/issuernetwork.v1.FeedService/ReportLabels",
        "/issuernetwork.v1.OutcomeService/WatchOutcomes",
    )
    for sender_id, role in itertools.product(SENDERS, sorted(TENANT_ROLES)):
        for kind in ("others", "deleted", "guessed"):
            answer(tenants, path, tenants.names[sender_id], kind, role)
    mine = {sender_id: answer(tenants, path, tenants.names[sender_id], "own")[0] for sender_id in SENDERS}
    assert set(mine.values()) == {"OK"}
    cursors = {""}
    for sender_id in SENDERS:
        own = tenants.names[sender_id]
        _, heard = tenants.call(watch, sender_id, outcomes_pb2.WatchOutcomesRequest())
        cursors.add(heard[-1].cursor)
        assert {one.payment_intent_id for one in heard} == {own.payment_intent_id}
        said_by = {one.label.label_id.rpartition("-")[0] for one in heard if one.HasField("label")}
        assert said_by <= {sender_id}
        assert said_by, "the label about one's own payment is told"
    for sender_id, cursor in itertools.product(SENDERS, sorted(cursors)):
        _, heard = tenants.call(watch, sender_id, outcomes_pb2.WatchOutcomesRequest(after_cursor=cursor))
        assert {one.payment_intent_id for one in heard} <= {tenants.names[sender_id].payment_intent_id}


def test_the_guess_is_nobodys() -> None:
    assert GUESSED.recipient_id not in {recipient_id for recipient_id, _ in BANKS.values()}
    assert GUESSED.sender_id not in BANKS
