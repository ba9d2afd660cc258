"""Recipients' keys that change."""

import json
from pathlib import Path

import pytest

from gateway.backends.embedded.recipient_files import (
    RECIPIENTS_LOOK_EVERY_MS,
    FileRecipientKeys,
    publish_recipient_keys,
)
from gateway.runtime.clock import SimClock
from gateway.sealing.keys import BadKey, KeyUnavailable
from issuernetwork.issuer_cli import new_key

NOW_MS = 1_700_000_000_000


def jwks(kid: str, **changed: object) -> str:
    return json.dumps({"keys": [{**new_key(kid)[1], **changed}]})


def kid_of(keys: FileRecipientKeys) -> str:
    return keys.current("bank", now_ms=NOW_MS).kid


def test_a_recipients_key_is_read_again_when_its_file_changes(tmp_path: Path) -> None:
    clock = SimClock()
    keys = FileRecipientKeys(tmp_path, clock)
    with pytest.raises(KeyUnavailable):
        kid_of(keys)
    publish_recipient_keys(tmp_path, "bank", jwks("one"))
    clock.advance_ms(RECIPIENTS_LOOK_EVERY_MS)
    assert kid_of(keys) == "one"
    same = keys.current("bank", now_ms=NOW_MS)
    clock.advance_ms(RECIPIENTS_LOOK_EVERY_MS)
    assert keys.current("bank", now_ms=NOW_MS) is same
    publish_recipient_keys(tmp_path, "bank", jwks("two"))
    clock.advance_ms(RECIPIENTS_LOOK_EVERY_MS)
    assert kid_of(keys) == "two"


def test_a_key_taken_away_or_damaged_is_unavailable_and_the_old_one_is_not_used(tmp_path: Path) -> None:
    clock = SimClock()
    keys = FileRecipientKeys(tmp_path, clock)
    path = tmp_path / "recipients" / "bank.jwks.json"
    publish_recipient_keys(tmp_path, "bank", jwks("one"))
    for text in ("{", "[]", json.dumps({"keys": []}), jwks("x", alg="none"), " " * 300_000, None):
        publish_recipient_keys(tmp_path, "bank", jwks("one"))
        clock.advance_ms(RECIPIENTS_LOOK_EVERY_MS)
        assert kid_of(keys) == "one"
        if text is None:
            path.unlink()
        else:
            path.write_text(text)
        clock.advance_ms(RECIPIENTS_LOOK_EVERY_MS)
        for _ in range(2):
            with pytest.raises(KeyUnavailable):
                kid_of(keys)
        clock.advance_ms(RECIPIENTS_LOOK_EVERY_MS)


def test_an_expired_key_is_unavailable(tmp_path: Path) -> None:
    publish_recipient_keys(tmp_path, "bank", jwks("one", exp=NOW_MS // 1000))
    keys = FileRecipientKeys(tmp_path, SimClock())
    assert keys.current("bank", now_ms=NOW_MS - 1).kid == "one"
    with pytest.raises(KeyUnavailable):
        keys.current("bank", now_ms=NOW_MS)


def test_of_a_set_put_by_hand_the_first_key_is_the_one_until_the_file_says_another(tmp_path: Path) -> None:
    first, second = new_key("one")[1], new_key("two")[1]
    ending = {**first, "exp": NOW_MS // 1000}
    publish_recipient_keys(tmp_path, "bank", json.dumps({"keys": [ending, second]}))
    clock = SimClock()
    keys = FileRecipientKeys(tmp_path, clock)
    assert keys.current("bank", now_ms=NOW_MS - 1).kid == "one"
    with pytest.raises(KeyUnavailable):
        keys.current("bank", now_ms=NOW_MS)
    # Whoever puts the other one first says that it is the one.
    publish_recipient_keys(tmp_path, "bank", json.dumps({"keys": [second, ending]}))
    clock.advance_ms(RECIPIENTS_LOOK_EVERY_MS)
    assert keys.current("bank", now_ms=NOW_MS).kid == "two"


@pytest.mark.parametrize("recipient_id", ["", "..", "../own", "a/b", "a.b", "a\x00b", "ä", "a" * 200])
def test_a_recipient_id_is_never_a_path(tmp_path: Path, recipient_id: str) -> None:
    with pytest.raises(KeyUnavailable):
        FileRecipientKeys(tmp_path, SimClock()).current(recipient_id, now_ms=NOW_MS)


def test_a_jwks_without_an_encryption_key_is_not_published(tmp_path: Path) -> None:
    for text in (json.dumps({"keys": []}), "{"):
        with pytest.raises(BadKey):
            publish_recipient_keys(tmp_path, "bank", text)
    assert not (tmp_path / "recipients" / "bank.jwks.json").exists()
