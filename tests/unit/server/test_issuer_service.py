"""Issuers' enrolment by operators over gRPC: the same acts as `ein issuer`, under the operator's name."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from gateway.backends.embedded.enrolments import SqliteEnrolments
from gateway.programs.enrolling import INVITE_DAYS_DEFAULT, INVITE_DAYS_MAX
from gateway.runtime.clock import SystemClock
from gateway.server.install import install
from gateway.server.policy import read_policy
from gateway.server.secret_words import secret_sha256
from issuernetwork.v1 import issuers_pb2 as v1
from tests.kit.enrolling import BANK, Keys, Rig
from tests.kit.installation import SAMPLE_POLICY
from tests.kit.operator_calls import Desk, desk

DAY_MS = 24 * 3_600_000


@pytest.fixture
def calls(tmp_path: Path) -> Iterator[Desk]:
    settings = install(tmp_path, policy=read_policy(SAMPLE_POLICY), recipient_jwks={})
    with desk(settings) as running:
        yield running


@pytest.fixture
def store(calls: Desk) -> Iterator[SqliteEnrolments]:
    found = SqliteEnrolments(str(calls.settings.state.policy_db), SystemClock())
    yield found
    found.close()


@pytest.mark.parametrize(
    ("days", "kept"), [(0, INVITE_DAYS_DEFAULT), (1, 1), (INVITE_DAYS_MAX, INVITE_DAYS_MAX)]
)
def test_an_invitation_is_told_once_kept_as_a_hash_and_named_by_who_invited(
    calls: Desk, store: SqliteEnrolments, days: int, kept: int
) -> None:
    made = calls.call("InviteIssuer", "ops", recipient_id=BANK, days=days, reason="contract")
    found = store.invitation(secret_sha256(made.token.encode()))
    assert found is not None
    assert (found.recipient_id, found.invited_by) == (BANK, "ops")
    assert found.expires_at_ms == made.expires_at_ms == found.at_ms + kept * DAY_MS
    assert (
        made.token
        not in store._db.execute("select group_concat(token_sha256) from invitations").fetchone()[0]
    )


def test_a_withdrawn_invitation_is_of_no_use(calls: Desk, store: SqliteEnrolments) -> None:
    for _ in range(2):
        calls.call("InviteIssuer", "ops", recipient_id=BANK, reason="contract")
    token = calls.call("InviteIssuer", "ops", recipient_id="harbor-federal", reason="contract").token
    assert calls.call("WithdrawInvitations", "boss", recipient_id=BANK, reason="no contract").withdrawn == 2
    assert calls.call("WithdrawInvitations", "boss", recipient_id=BANK, reason="no contract").withdrawn == 0
    other = store.invitation(secret_sha256(token.encode()))
    assert other is not None
    assert not other.withdrawn_at_ms


def test_what_is_enrolled_is_listed_and_revoked_and_what_was_sealed_to_is_not_any_more(calls: Desk) -> None:
    rig = Rig(calls.settings.state.root)
    try:
        number = rig.in_force(Keys("a"))
        (listed,) = calls.call("ListIssuers", "audrey").issuers
        assert (listed.recipient_id, listed.submission_id, listed.stage) == (
            BANK, number, v1.SUBMISSION_STAGE_IN_FORCE
        )  # fmt: skip
        assert rig.usable() == "a-enc"
        gone = calls.call("RevokeIssuerKeys", "ops", recipient_id=BANK, reason="lost").revoked
        assert (gone.stage, list(gone.thumbprints)) == (v1.SUBMISSION_STAGE_REVOKED, list(listed.thumbprints))
        assert rig.usable() == ""
        event = "select actor, reason from enrolment_events where verb = 'revoke_keys'"
        assert rig.enrolments._db.execute(event).fetchall() == [("ops", "lost")]
    finally:
        rig.close()


@pytest.mark.parametrize("limit", [1, 2, 7])
def test_pages_have_each_recipient_once_the_newest_first(
    calls: Desk, store: SqliteEnrolments, limit: int
) -> None:
    names = [f"bank-{number}" for number in range(5)]
    for name in (*names, names[0]):
        store.submit(name, invite_id=0, by=name, document="{}", thumbprints=("t",), nonce_sha256="0")
    told, cursor, pages = [], "", 0
    while pages == 0 or cursor:
        page = calls.call("ListIssuers", "ops", limit=limit, cursor=cursor)
        told += [one.recipient_id for one in page.issuers]
        cursor, pages = page.next_cursor, pages + 1
    assert told == [names[0], *reversed(names[1:])]


@pytest.mark.parametrize(
    ("method", "members", "code"),
    [
        ("InviteIssuer", {"reason": "x"}, grpc.StatusCode.INVALID_ARGUMENT),
        ("InviteIssuer", {"recipient_id": BANK}, grpc.StatusCode.INVALID_ARGUMENT),
        ("InviteIssuer", {"recipient_id": BANK, "reason": "x\ny"}, grpc.StatusCode.INVALID_ARGUMENT),
        ("InviteIssuer", {"recipient_id": BANK, "reason": "x", "days": 31}, grpc.StatusCode.INVALID_ARGUMENT),
        ("InviteIssuer", {"recipient_id": BANK, "reason": "x", "days": -1}, grpc.StatusCode.INVALID_ARGUMENT),
        ("InviteIssuer", {"recipient_id": "../own", "reason": "x"}, grpc.StatusCode.FAILED_PRECONDITION),
        ("RevokeIssuerKeys", {"recipient_id": BANK, "reason": "x"}, grpc.StatusCode.FAILED_PRECONDITION),
        ("ListIssuers", {"cursor": "canary"}, grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
def test_what_cannot_be_done_is_refused_without_a_value(
    calls: Desk, store: SqliteEnrolments, method: str, members: dict[str, object], code: grpc.StatusCode
) -> None:
    found, text = calls.refused(method, "ops", **members)
    assert found is code
    assert "canary" not in text
    assert "../own" not in text
    assert store._db.execute("select count(*) from enrolment_events").fetchone() == (0,)
