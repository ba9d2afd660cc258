"""An operator's token is good for one act, whoever shows it again, at every process of the installation."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from gateway.backends.embedded.seen_ids import SqliteSeenIds
from gateway.records.access import ACCESS, is_act
from gateway.runtime.clock import SimClock, SystemClock
from gateway.sealing.operator_token import OperatorTokenRefused, TokenId
from gateway.server.install import install
from gateway.server.operators import ACTS_MAX, spending
from gateway.server.policy import read_policy
from tests.kit.installation import SAMPLE_POLICY
from tests.kit.operator_calls import Desk, desk
from tests.kit.operators import token_of
from tests.kit.seen_ids import MemorySeenIds

SCOPE = {"program": "risk-score", "issuer_id": "northgate-bank"}
NOW_S = SystemClock().wall_ms() // 1000


@pytest.fixture
def calls(tmp_path: Path) -> Iterator[Desk]:
    settings = install(tmp_path, policy=read_policy(SAMPLE_POLICY), recipient_jwks={})
    with desk(settings) as running:
        yield running


def refused(calls: Desk, method: str, token: str) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as told:
        calls.call(method, "ops", token=token, **SCOPE, reason="again")
    return told.value.code(), told.value.details()


def test_every_method_that_changes_something_is_an_act_and_no_other() -> None:
    acts = {path.rpartition("/")[2] for path in ACCESS if is_act(path)}
    reads = {path.rpartition("/")[2] for path, roles in ACCESS.items() if "auditor" in roles}
    assert acts >= {"KillProgram", "Approve", "SetConsent", "RequestErasure", "InviteIssuer"}
    assert not [name for name in acts if name.startswith(("Get", "List"))]
    assert not [name for name in reads if not name.startswith(("Get", "List"))]
    assert not is_act("/issuernetwork.v1.FeedService/ReportReceipts"), "machines have tokens of their own"


def test_a_token_that_acted_acts_no_more_and_says_what_to_do(calls: Desk) -> None:
    token = token_of(calls.settings, "ops")
    calls.call("PauseProgram", "ops", token=token, **SCOPE, reason="drill")
    for method in ("PauseProgram", "ResumeProgram", "KillProgram"):
        code, text = refused(calls, method, token)
        assert (code, "ein operator token" in text) == (grpc.StatusCode.UNAUTHENTICATED, True)
    assert len(calls.stores.policy.switches()) == 1, "and nothing was written"
    assert calls.call("ResumeProgram", "ops", **SCOPE, reason="a new one").switch_epoch == 2


def test_reading_uses_no_token_up_and_a_token_that_acted_may_still_read(calls: Desk) -> None:
    token = token_of(calls.settings, "ops")
    for _ in range(3):
        calls.call("ListPrograms", "ops", token=token)
    calls.call("PauseProgram", "ops", token=token, **SCOPE, reason="drill")
    assert calls.call("ListPrograms", "ops", token=token).programs


def test_a_call_that_is_denied_uses_no_token_up(calls: Desk) -> None:
    token = token_of(calls.settings, "ops")
    code, _ = calls.refused("Approve", "ops", token=token)
    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert calls.call("PauseProgram", "ops", token=token, **SCOPE, reason="drill").switch_epoch == 1


def test_another_process_of_the_installation_knows_it_too(calls: Desk) -> None:
    token = token_of(calls.settings, "ops")
    with desk(calls.settings) as other:
        calls.call("PauseProgram", "ops", token=token, **SCOPE, reason="drill")
        assert refused(other, "ResumeProgram", token)[0] is grpc.StatusCode.UNAUTHENTICATED


def test_where_it_cannot_be_found_out_nothing_is_done(calls: Desk) -> None:
    calls.stores.seen._db.execute("drop table seen")
    code, _ = refused(calls, "PauseProgram", token_of(calls.settings, "ops"))
    assert code is grpc.StatusCode.UNAVAILABLE
    assert calls.stores.policy.switches() == []
    assert calls.call("ListPrograms", "ops").programs


def shown(jti: str = "a", *, issued_s: int = NOW_S, of: str = "thumb") -> TokenId:
    return TokenId(of, jti, issued_s, issued_s + 600)


def test_tokens_of_before_the_ids_are_remembered_act_no_more() -> None:
    spend = spending(MemorySeenIds(NOW_S * 1000), SystemClock())
    with pytest.raises(OperatorTokenRefused, match="in a minute"):
        spend(shown())
    spend(shown(issued_s=NOW_S + 60))


def test_a_token_that_ran_out_while_its_call_waited_acts_no_more() -> None:
    token, clock = shown(), SimClock(wall_ms=NOW_S * 1000)
    spend = spending(MemorySeenIds(), clock)
    clock.advance_ms((token.expires_s - NOW_S) * 1000)
    with pytest.raises(OperatorTokenRefused, match="exp: the token ran out"):
        spend(token)
    in_time = SimClock(wall_ms=token.expires_s * 1000 - 1)
    spending(MemorySeenIds(), in_time)(token)


def test_a_token_that_acted_is_known_to_a_process_whose_clock_is_behind(tmp_path: Path) -> None:
    path = tmp_path / "seen.sqlite3"
    stores = [SqliteSeenIds(path, began_ms=0) for _ in range(2)]
    token = shown()
    behind = SimClock(wall_ms=token.expires_s * 1000 - 1)
    ahead = SimClock(wall_ms=token.expires_s * 1000 + 59_000)
    spending(stores[0], behind)(token)
    # Forgets what has run out by its clock.
    spending(stores[1], ahead)(shown("b", issued_s=token.expires_s))
    with pytest.raises(OperatorTokenRefused, match="an act was done with this token"):
        spending(stores[0], behind)(token)
    for store in stores:
        store.close()


def test_one_operator_fills_no_memory_of_anothers(tmp_path: Path) -> None:
    store = SqliteSeenIds(tmp_path / "seen.sqlite3", began_ms=0)
    with store._write() as db:
        rows = [("operator/thumb", str(number), 1 << 60) for number in range(ACTS_MAX)]
        db.executemany("insert into seen values (?, ?, ?)", rows)
    spend = spending(store, SystemClock())
    with pytest.raises(OperatorTokenRefused, match="too many"):
        spend(shown())
    spend(shown(of="another"))
    store.close()
