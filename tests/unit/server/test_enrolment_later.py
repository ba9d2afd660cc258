"""After an enrolment: keys are changed, revoked, run out; nothing takes their place, people hear of it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.backends.embedded.enrolments import SqliteEnrolments
from gateway.backends.embedded.recipient_files import publish_recipient_keys
from gateway.programs.enrolling import EnrolmentRefused, Stage
from gateway.server.bootstrap.pins import pin_check
from gateway.server.clients import read_clients
from gateway.server.enrolment.desk import carry_out, check_enrolment, revoke_keys
from gateway.server.identity import Principal
from gateway.server.recipient_watch import SOON_MS, RecipientWatch
from issuernetwork.enrolment import public_set
from tests.kit.enrolling import BANK, Keys, Rig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.close()


def test_a_revoked_key_is_sealed_to_no_more_and_nothing_takes_its_place(rig: Rig) -> None:
    first = Keys("a")
    rig.in_force(first)
    issuer = rig.desk.asking(Principal(BANK, "issuer"), "")
    rig.in_force(Keys("b"), issuer, first)
    revoke_keys(rig.state, rig.clock, BANK, by="ada", reason="lost")
    assert rig.usable() == ""
    assert read_clients(rig.state.clients) == []
    revoke_keys(rig.state, rig.clock, BANK, by="ada", reason="lost")
    with pytest.raises(EnrolmentRefused, match="none of its keys"):
        revoke_keys(rig.state, rig.clock, "harbor-federal", by="ada", reason="lost")
    made = rig.enrolments.newest()[BANK]
    assert made.stage is Stage.REVOKED
    # It comes back as it came: invited.
    rig.in_force(Keys("c"))
    assert rig.usable() == "c-enc"


def test_a_revocation_that_ends_half_way_has_stopped_what_is_sealed(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.in_force(Keys("a"))
    with monkeypatch.context() as broken:
        broken.setattr(SqliteEnrolments, "revoke", None)
        with pytest.raises(TypeError):
            revoke_keys(rig.state, rig.clock, BANK, by="ada", reason="lost")
    assert rig.usable() == ""
    assert len(read_clients(rig.state.clients)) == 1
    revoke_keys(rig.state, rig.clock, BANK, by="ada", reason="lost")
    assert read_clients(rig.state.clients) == []


def test_the_watch_tells_of_every_key_that_is_not_simply_good(rig: Rig) -> None:
    told: list[tuple[int, int]] = []
    watch = RecipientWatch(
        rig.state, rig.clock, recipients=lambda: [BANK, "nobody", "a/b"],
        check=pin_check(rig.state, rig.clock), tell=lambda lost, ending: told.append((lost, ending)),
    )  # fmt: skip
    ends_s = rig.clock.wall_ms() // 1000 + SOON_MS // 1000 + 3600
    rig.in_force(Keys("a", exp=ends_s))
    states = []
    for added_ms in (0, 2 * 3_600_000, SOON_MS + 2 * 3_600_000):
        rig.clock.added_ms = added_ms
        states.append(watch.step().get(BANK))
    assert [None if one is None else one.state for one in states] == [None, "ends_soon", "expired"]
    assert told == [(2, 0), (2, 1), (3, 0)]
    assert rig.usable() == "", "what has expired is sealed to no more"
    rig.clock.added_ms = 0
    revoke_keys(rig.state, rig.clock, BANK, by="ada", reason="lost")
    assert {name: one.state for name, one in watch.step().items()} == {
        BANK: "not_usable", "nobody": "missing", "a/b": "missing"
    }  # fmt: skip


def test_of_keys_put_by_hand_the_first_that_ends_is_an_alert_whatever_stands_behind_it(rig: Rig) -> None:
    told: list[tuple[int, int]] = []
    watch = RecipientWatch(
        rig.state, rig.clock, recipients=lambda: [BANK], check=pin_check(rig.state, rig.clock),
        tell=lambda lost, ending: told.append((lost, ending)),
    )  # fmt: skip
    ends_s = rig.clock.wall_ms() // 1000 + SOON_MS // 1000 + 3600
    first, others = Keys("a").sealing, [Keys(name).sealing for name in ("b", "c")]
    jwks = public_set([{**first, "exp": ends_s}, {**others[0], "exp": ends_s + 3600}, others[1]])
    publish_recipient_keys(rig.state.keys, BANK, json.dumps(jwks))
    found = []
    for added_ms in (0, 2 * 3_600_000, SOON_MS + 3_600_000):
        rig.clock.added_ms = added_ms
        state = watch.step().get(BANK)
        found.append((None if state is None else state.state, rig.usable()))
    assert found == [(None, "a-enc"), ("ends_soon", "a-enc"), ("expired", "")]
    assert told == [(0, 0), (0, 1), (1, 0)]


def test_an_older_submission_never_comes_back_over_a_later_one(rig: Rig) -> None:
    first = Keys("a")
    rig.in_force(first)
    issuer = rig.desk.asking(Principal(BANK, "issuer"), "")
    rig.proven(Keys("b"), issuer, first)
    older = rig.approvals.all()[-1]
    rig.in_force(Keys("c"), issuer, first)
    for act in (lambda: check_enrolment(rig.state, rig.clock, older),
                lambda: carry_out(rig.state, rig.clock, older, by="bo")):  # fmt: skip
        with pytest.raises(EnrolmentRefused, match="later one"):
            act()
    assert rig.usable() == "c-enc"


def test_keys_are_changed_under_keys_in_force_and_the_old_ones_are_none_any_more(rig: Rig) -> None:
    first = Keys("a")
    rig.in_force(first)
    issuer = rig.desk.asking(Principal(BANK, "issuer"), "")
    assert issuer is not None
    rig.in_force(Keys("b"), issuer, first)
    assert rig.approvals.all()[-1].requested_by == f"issuer:{BANK}"
    assert rig.usable() == "b-enc"
    (client,) = read_clients(rig.state.clients)
    assert [key["kid"] for key in client.keys] == ["b-sig"]


def test_who_found_a_bearer_token_changes_no_keys(rig: Rig) -> None:
    first, thief = Keys("a"), Keys("a")
    rig.in_force(first)
    issuer = rig.desk.asking(Principal(BANK, "issuer"), "")
    assert issuer is not None
    told = rig.desk.submit(issuer, {"jwks": thief.jwks})
    for under in (None, thief, Keys("a")):
        with pytest.raises(EnrolmentRefused, match="in force"):
            rig.prove(issuer, thief, told, under=under)
    # The owner may keep the key that it signs with, and change the other alone.
    same = Keys("b")
    same.signing, same.jwks = first.signing, {"keys": [same.jwks["keys"][0], first.jwks["keys"][1]]}
    rig.in_force(same, issuer)
    assert rig.usable() == "b-enc"
