"""Who calls, while the identities change."""

import json
from pathlib import Path

import pytest

from gateway.runtime.entropy import SystemEntropy
from gateway.server import identity
from gateway.server.identity import Authenticator, IdentityInvalid, Principal, issue_token
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
    digest = identity._digest

    def revoked_meanwhile(token: bytes) -> str:
        state.identities.write_text("[]")
        known.refresh()
        return digest(token)

    monkeypatch.setattr(identity, "_digest", revoked_meanwhile)
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
