"""`ein token` and `ein client` are acts: under a name, in the ledger, written down before they are done."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.backends.embedded.identity_acts import IdentityVerb, SqliteIdentityActs
from gateway.backends.embedded.ledger_acts import IDENTITIES, StoredActs
from gateway.ledger.entry import act_body
from gateway.runtime.clock import SystemClock
from gateway.runtime.entropy import SystemEntropy
from gateway.sealing.jwk import thumbprint
from gateway.server import identity
from gateway.server.cli.main import ein
from gateway.server.clients import read_clients
from gateway.server.install import install
from gateway.server.operators import KEY_ENV, OperatorRefused
from gateway.server.policy import read_policy
from gateway.server.settings import Settings
from gateway.server.verbs import identities as verbs
from tests.kit.clients import Key
from tests.kit.installation import SAMPLE_POLICY
from tests.kit.operators import key_of, register


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return install(tmp_path, policy=read_policy(SAMPLE_POLICY), recipient_jwks={})


@pytest.fixture
def stored(settings: Settings) -> Iterator[StoredActs]:
    with closing(StoredActs(settings.state.policy_db, settings.state.consents_db)) as acts:
        yield acts


def run(settings: Settings, *command: str, by: str = "") -> Any:
    env = {KEY_ENV: str(key_of(settings, by)) if by else None}
    return CliRunner().invoke(ein, [*command, "--config", str(settings.source)], env=env)


def good(settings: Settings, *command: str, by: str = "") -> str:
    result = run(settings, *command, by=by)
    assert result.exit_code == 0, (result.output, result.exception)
    return str(result.output).strip()


def rows(stored: StoredActs) -> list[dict[str, Any]]:
    return [dict(act.row) for act in stored.after(IDENTITIES, 0, 100)]


def test_each_act_has_a_row_with_who_what_and_why_and_nothing_secret(
    settings: Settings, stored: StoredActs, tmp_path: Path
) -> None:
    register(settings, "olga")
    key = Key("shop-1")
    (tmp_path / "jwks.json").write_text(json.dumps(key.jwks))
    token = good(settings, "token", "shop-1", "--role", "caller", "--reason", "contract 7", by="olga")
    secret = good(settings, "client", "add", "shop-2", "--role", "caller", "--secret", by="olga")
    jwks = str(tmp_path / "jwks.json")
    good(
        settings, "client", "add", "bank", "--role", "issuer", "--principal", "northgate-bank",
        "--jwks", jwks, "--uri", "urn:ein:b", "--bound", by="olga",
    )  # fmt: skip
    good(settings, "client", "remove", "shop-2", "--reason", "no contract", by="olga")
    good(settings, "token", "revoke", "shop-1", by="olga")
    told = [
        (one["verb"], one["subject_id"], one["principal_id"], one["role"], one["proofs"], one["actor"],
         one["reason"]) for one in rows(stored)
    ]  # fmt: skip
    proofs = f"{thumbprint(key.public[0])} urn:ein:b bound"
    assert told == [
        ("issue_token", "shop-1", "shop-1", "caller", "", "olga", "contract 7"),
        ("add_client", "shop-2", "shop-2", "caller", "secret", "olga", ""),
        ("add_client", "bank", "northgate-bank", "issuer", proofs, "olga", ""),
        ("remove_client", "shop-2", "shop-2", "caller", "secret", "olga", "no contract"),
        ("revoke_tokens", "shop-1", "shop-1", "", "", "olga", ""),
    ]
    kept = json.dumps(rows(stored))
    assert token not in kept
    assert secret not in kept
    entries = "".join(act_body(act) for act in stored.after(IDENTITIES, 0, 100))
    assert "olga" not in entries
    assert "contract" not in entries


def test_what_is_given_needs_a_key_once_there_are_operators_and_what_is_taken_does_not(
    settings: Settings, stored: StoredActs
) -> None:
    good(settings, "token", "shop-1", "--role", "caller")
    good(settings, "client", "add", "shop-2", "--role", "caller", "--secret")
    register(settings, "ada")
    register(settings, "audrey", "auditor")
    for given in (
        ("token", "shop-3", "--role", "caller"), ("client", "add", "shop-3", "--role", "caller", "--secret"),
    ):  # fmt: skip
        for by in ("", "audrey"):
            refused = run(settings, *given, by=by)
            assert isinstance(refused.exception, OperatorRefused), refused.output
    good(settings, "client", "remove", "shop-2")
    good(settings, "token", "revoke", "shop-1")
    told = [(one["verb"], str(one["actor"]).startswith("os:")) for one in rows(stored)]
    assert told == [
        ("issue_token", True), ("add_client", True), ("remove_client", True), ("revoke_tokens", True)
    ]  # fmt: skip


def test_what_cannot_be_done_is_no_act(settings: Settings, stored: StoredActs) -> None:
    good(settings, "client", "add", "shop", "--role", "caller", "--secret")
    for refused in (
        ("client", "add", "shop", "--role", "caller", "--secret"),
        ("client", "remove", "nobody"),
        ("token", "revoke", "nobody"),
        ("token", "shop", "--role", "caller", "--reason", "x\ny"),
        ("token", "shop", "--role", "caller", "--reason", "x" * 300),
    ):
        assert run(settings, *refused).exit_code != 0
    assert [one["verb"] for one in rows(stored)] == ["add_client"]
    assert not settings.state.identities.exists()


@pytest.mark.parametrize("act", ["issue_token", "revoke_tokens", "add_client", "remove_client"])
def test_what_ends_between_the_word_and_the_deed_is_in_the_ledger(
    settings: Settings, stored: StoredActs, act: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    good(settings, "token", "shop-1", "--role", "caller")
    good(settings, "client", "add", "shop-2", "--role", "caller", "--secret")
    before = settings.state.identities.read_bytes(), read_clients(settings.state.clients)
    command = {
        "issue_token": ("token", "shop-3", "--role", "caller"),
        "revoke_tokens": ("token", "revoke", "shop-1"),
        "add_client": ("client", "add", "shop-3", "--role", "caller", "--secret"),
        "remove_client": ("client", "remove", "shop-2"),
    }[act]  # fmt: skip

    def full(*arguments: object) -> None:
        raise OSError(28, "no space")

    monkeypatch.setattr(identity, "write_rows", full)
    monkeypatch.setattr(verbs, "write_clients", full)
    assert run(settings, *command).exit_code != 0
    assert (settings.state.identities.read_bytes(), read_clients(settings.state.clients)) == before
    assert rows(stored)[-1]["verb"] == act


def test_where_the_act_cannot_be_written_down_it_is_not_done(settings: Settings) -> None:
    good(settings, "token", "shop-1", "--role", "caller")
    before = settings.state.identities.read_bytes()
    with closing(sqlite3.connect(settings.state.policy_db, isolation_level=None)) as other:
        other.execute("begin immediate")
        assert run(settings, "token", "shop-2", "--role", "caller").exit_code != 0
        assert run(settings, "client", "add", "shop-2", "--role", "caller", "--secret").exit_code != 0
    assert settings.state.identities.read_bytes() == before
    assert read_clients(settings.state.clients) == []


def test_a_verb_of_a_later_version_is_an_act_all_the_same(settings: Settings, stored: StoredActs) -> None:
    with closing(SqliteIdentityActs(str(settings.state.policy_db), SystemClock())) as store:
        store.write(IdentityVerb.ADD_CLIENT, "x", principal_id="x", by="ada")
        store._db.execute("insert into identity_events values (null, 'later', 'x', 'x', '', '', 'a', '', 7)")
    assert [act.verb for act in stored.after(IDENTITIES, 0, 100)] == ["add_client", "other"]
    assert identity.issue_token(settings.state, principal_id="x", role="caller", entropy=SystemEntropy())
