"""`ein consent import` says why nothing was imported, whatever fails besides."""

import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.backends.embedded.consents import ConsentStoreUnavailable, SqliteConsents
from gateway.server.cli import consent
from gateway.server.policy import read_policy
from tests.kit.installation import SAMPLE_POLICY, quick_install


@pytest.mark.parametrize("fault", [True, False])
def test_mistakes_are_told_also_where_the_import_cannot_be_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: bool
) -> None:
    file = tmp_path / "list.csv"
    file.write_text("party,CANARY\n")
    config = quick_install(tmp_path, policy=read_policy(SAMPLE_POLICY), recipient_jwks={}).source
    monkeypatch.setattr(os, "nice", lambda _: 0)
    monkeypatch.setattr(consent, "_acting", lambda *_, **__: "alice")
    if fault:
        monkeypatch.setattr(SqliteConsents, "abandon_import", down)
    done = CliRunner().invoke(
        consent.consent_command, ["import", str(file), "--reason", "r", "--config", str(config)]
    )
    assert done.exception is not None
    assert "the first line has to be" in getattr(done.exception, "public", "")
    assert ("what was staged is left to the next import: the disk is full" in done.output) is fault
    assert "CANARY" not in done.output


def down(*_: Any) -> None:
    raise ConsentStoreUnavailable("the disk is full")
