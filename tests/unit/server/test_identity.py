"""Who calls, while the identities change."""

import json
from pathlib import Path

import pytest

from gateway.runtime.disk import RealDisk
from gateway.runtime.entropy import SystemEntropy
from gateway.server import identity
from gateway.server.identity import (
    Authenticator,
    IdentityInvalid,
    Principal,
    count_tokens,
    issue_token,
    revoke_tokens,
)
from gateway.server.state import StateDir


def _installed(folder: Path) -> tuple[StateDir, str]:
    state = StateDir(folder)
    state.make()
    token = issue_token(state, principal_id="shop-1", role="caller", entropy=SystemEntropy())
    return state, f"Bearer {token}"


def test_a_principal_revoked_while_it_is_looked_up_is_unknown_from_then_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, header = _installed(tmp_path)
    known = Authenticator(state)
    digest = identity.secret_sha256

    def revoked_meanwhile(token: bytes) -> str:
        state.identities.write_text("[]")
        known.refresh()
        return digest(token)

    monkeypatch.setattr(identity, "secret_sha256", revoked_meanwhile)
    known.principal(header)
    monkeypatch.undo()
    assert known.principal(header) is None


def test_without_the_file_nobody_is_known(tmp_path: Path) -> None:
    state, header = _installed(tmp_path)
    known = Authenticator(state)
    assert known.principal(header) == Principal("shop-1", "caller")
    content = state.identities.read_bytes()
    state.identities.unlink()
    known.refresh()
    assert known.principal(header) is None
    state.identities.write_bytes(content)
    known.refresh()
    assert known.principal(header) == Principal("shop-1", "caller")


def test_a_revocation_takes_the_tokens_of_one_principal_and_may_leave_the_newest(tmp_path: Path) -> None:
    state, first = _installed(tmp_path)
    second, other = (
        "Bearer " + issue_token(state, principal_id=who, role="caller", entropy=SystemEntropy())
        for who in ("shop-1", "shop-2")
    )
    known = Authenticator(state)

    def knows() -> list[bool]:
        known.refresh()
        return [known.principal(header) is not None for header in (first, second, other)]

    assert knows() == [True, True, True]
    assert count_tokens(state) == {Principal("shop-1", "caller"): 2, Principal("shop-2", "caller"): 1}
    assert revoke_tokens(state, principal_id="shop-1", keep_newest=True) == 1
    assert knows() == [False, True, True]
    assert revoke_tokens(state, principal_id="shop-1") == 1
    assert knows() == [False, False, True]
    with pytest.raises(IdentityInvalid):
        revoke_tokens(state, principal_id="shop-1")
    assert state.identities.stat().st_mode & 0o777 == 0o600


def test_a_change_beside_another_one_is_refused_and_undoes_nothing(tmp_path: Path) -> None:
    state, header = _installed(tmp_path)
    other = RealDisk().lock(str(state.identities.with_suffix(".lock")))
    with pytest.raises(IdentityInvalid, match="try again"):
        revoke_tokens(state, principal_id="shop-1")
    other.close()
    assert Authenticator(state).principal(header) is not None
    assert revoke_tokens(state, principal_id="shop-1") == 1


@pytest.mark.parametrize("content", ["{not json", "{}x", '[{"role": "caller"}]', "[1]", "7"])
def test_a_broken_file_is_a_typed_error_and_the_last_good_one_holds(tmp_path: Path, content: str) -> None:
    state, header = _installed(tmp_path)
    known = Authenticator(state)
    state.identities.write_text(content)
    with pytest.raises(IdentityInvalid):
        known.refresh()
    assert known.principal(header) == Principal("shop-1", "caller")
    with pytest.raises(IdentityInvalid):
        Authenticator(state)


def test_an_unknown_role_is_refused(tmp_path: Path) -> None:
    state, _ = _installed(tmp_path)
    rows = json.loads(state.identities.read_text())
    state.identities.write_text(json.dumps([{**row, "role": "root"} for row in rows]))
    with pytest.raises(IdentityInvalid):
        Authenticator(state)
