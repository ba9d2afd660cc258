"""Enrolment without HTTP: what may be submitted, what proves it, who may do what, and what is refused."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.programs.approvals import LIFE_MS, ApprovalRefused
from gateway.programs.enrolling import PROVE_MS, SUBMISSIONS_MAX, TRIES_MAX, EnrolmentRefused
from gateway.sealing.jwk import thumbprint
from gateway.server.clients import Client, read_clients
from gateway.server.enrolment.desk import carry_out, check_enrolment, revoke_keys
from gateway.server.enrolment.submitted import PROOF_TYPE
from gateway.server.identity import Principal
from issuernetwork.issuer_cli import new_key
from tests.kit.clients import add_client
from tests.kit.enrolling import BANK, WEEK_MS, Keys, Rig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.close()


def test_a_thumbprint_is_that_of_rfc_7638() -> None:
    # RFC 7638 3.1.
    n = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMs"
        "tn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbI"
        "SD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
    )
    assert thumbprint({"kty": "RSA", "n": n, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"}) == (
        "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    )


def test_what_is_proven_and_approved_is_sealed_to_and_nothing_before(rig: Rig) -> None:
    keys = Keys("a")
    told = rig.proven(keys)
    assert (told["stage"], rig.usable()) == ("proven", "")
    asked = rig.approvals.all()[-1]
    assert (asked.requested_by, asked.subject["thumbprints"].split()) == ("ada", told["thumbprints"])
    carry_out(rig.state, rig.clock, asked, by="bo")
    carry_out(rig.state, rig.clock, asked, by="bo")
    assert rig.usable() == "a-enc"
    (client,) = read_clients(rig.state.clients)
    assert (client.client_id, client.role, [key["kid"] for key in client.keys]) == (BANK, "issuer", ["a-sig"])


BAD_PROOFS: dict[str, dict[str, Any]] = {
    "for another network": {"aud": "https://other.test"},
    "of another recipient": {"iss": "harbor-federal"},
    "of another submission": {"submission_id": 77},
    "of another nonce": {"nonce": "x" * 43},
    "of no nonce": {"nonce": None},
    "about other keys": {"thumbprints": ["x"]},
    "of last year": {"iat": 1_600_000_000},
    "without a time": {"iat": None},
    "with more than was asked": {"scope": "all"},
    "without an id": {"jti": None},
}


@pytest.mark.parametrize("what", BAD_PROOFS)
def test_a_proof_is_refused(rig: Rig, what: str) -> None:
    keys, asking = Keys("a"), rig.asking()
    told = rig.desk.submit(asking, {"jwks": keys.jwks})
    with pytest.raises(EnrolmentRefused, match="proofs"):
        rig.prove(asking, keys, told, **BAD_PROOFS[what])
    assert rig.prove(asking, keys, told)["stage"] == "proven", "the good one is taken after it"


def test_a_proof_takes_both_keys_and_its_own_type(rig: Rig) -> None:
    keys, thief, asking = Keys("a"), Keys("a"), rig.asking()
    told = rig.desk.submit(asking, {"jwks": keys.jwks})
    claims, number = keys.claims(told), told["submission_id"]
    good = keys.signing.sign(PROOF_TYPE, claims)
    by_thief = thief.signing.sign(PROOF_TYPE, {**claims, "jti": "thief"})
    for proofs in (
        [], [good] * 9, "x", None, [1], ["\u00e9"], [by_thief], [keys.signing.sign("JWT", claims)],
        [good, by_thief],
        # It was taken with the one before, which proved nothing all the same.
        [good],
    ):  # fmt: skip
        with pytest.raises(EnrolmentRefused):
            rig.desk.prove(asking, number, proofs)
        rig.enrolments._db.execute("update submissions set tries = 0")
    assert rig.prove(asking, keys, told) is not None
    # Whoever signs and cannot open has no nonce.
    with pytest.raises(Exception, match="decryption"):
        thief.opened(told["challenge"])


def test_too_many_tries_and_too_late_are_over(rig: Rig) -> None:
    keys, asking = Keys("a"), rig.asking()
    told = rig.desk.submit(asking, {"jwks": keys.jwks})
    for _ in range(TRIES_MAX):
        with pytest.raises(EnrolmentRefused, match="proofs"):
            rig.prove(asking, keys, told, nonce="guess")
    with pytest.raises(EnrolmentRefused, match="anew"):
        rig.prove(asking, keys, told)
    told = rig.desk.submit(asking, {"jwks": keys.jwks})
    rig.clock.added_ms = PROVE_MS
    with pytest.raises(EnrolmentRefused, match="anew"):
        rig.prove(asking, keys, told)


def test_an_invitation_is_good_once_for_a_time_and_for_one_recipient(rig: Rig) -> None:
    token = rig.invite()
    asking = rig.asking(token)
    assert (asking.recipient_id, rig.desk.asking(None, token + "x"), rig.desk.asking(None, "")) == (
        BANK, None, None
    )  # fmt: skip
    first, second = Keys("a"), Keys("b")
    told = [rig.desk.submit(asking, {"jwks": keys.jwks}) for keys in (first, second)]
    rig.prove(asking, first, told[0])
    with pytest.raises(EnrolmentRefused, match="invitation"):
        rig.prove(asking, second, told[1])
    with pytest.raises(EnrolmentRefused, match="invitation"):
        rig.desk.submit(asking, {"jwks": second.jwks})
    other = rig.invite("harbor-federal")
    assert rig.desk.status(rig.asking(other), told[0]["submission_id"]) is None
    assert rig.enrolments.withdraw("harbor-federal", by="ada", reason="no contract") == 1
    assert rig.desk.asking(None, other) is None
    late = rig.invite()
    rig.clock.added_ms = WEEK_MS
    assert rig.desk.asking(None, late) is None


def test_who_has_no_keys_in_force_changes_none_and_no_payment_service_does(rig: Rig) -> None:
    assert rig.desk.asking(Principal("shop", "caller"), "") is None
    issuer = rig.desk.asking(Principal(BANK, "issuer"), "")
    assert issuer is not None
    with pytest.raises(EnrolmentRefused, match="invitation"):
        rig.desk.submit(issuer, {"jwks": Keys("a").jwks})


def test_a_certificate_that_somebody_registered_stands_for_an_invitation(rig: Rig) -> None:
    asking = rig.desk.asking(Principal(BANK, "issuer"), "", "ada")
    rig.in_force(Keys("a"), asking)
    assert rig.approvals.all()[-1].requested_by == "ada", "and it takes another person to approve"
    assert rig.usable() == "a-enc"


def test_an_approval_is_of_the_keys_that_were_seen(rig: Rig) -> None:
    rig.proven(Keys("a"))
    rig.enrolments._db.execute("update submissions set thumbprints = '[\"other\"]'")
    with pytest.raises(ApprovalRefused, match="other keys"):
        check_enrolment(rig.state, rig.clock, rig.approvals.all()[-1])


def test_a_request_that_nobody_decided_is_asked_anew_and_a_refused_one_is_not(rig: Rig) -> None:
    keys, asking = Keys("a"), rig.asking()
    told = rig.desk.submit(asking, {"jwks": keys.jwks})
    for _ in range(2):
        rig.prove(asking, keys, told)
    assert len(rig.approvals.all()) == 1
    rig.clock.added_ms = LIFE_MS
    rig.desk.prove(asking, told["submission_id"], None)
    assert len(rig.approvals.all()) == 2
    rig.approvals.decide(rig.approvals.all()[-1].approval_id, by="bo", approve=False)
    with pytest.raises(EnrolmentRefused, match="refused"):
        rig.desk.prove(asking, told["submission_id"], None)


def test_a_client_of_the_same_name_that_is_somebody_elses_gets_no_keys(rig: Rig) -> None:
    add_client(rig.state, Client(client_id=BANK, principal_id="shop", role="caller", uri="urn:ein:shop"))
    rig.proven(Keys("a"))
    asked = rig.approvals.all()[-1]
    for act in (
        lambda: check_enrolment(rig.state, rig.clock, asked),
        lambda: carry_out(rig.state, rig.clock, asked, by="bo"),
    ):
        with pytest.raises(EnrolmentRefused, match="somebody else"):
            act()
    assert rig.enrolments.current(BANK) is None
    assert read_clients(rig.state.clients)[0].keys == ()


def spoilt(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """A submission with something changed. The first key is the one to seal to."""
    given = {"jwks": json.loads(json.dumps(Keys("a").jwks)), "endpoints": {"contact": "mailto:a@b.test"}}
    change(given)
    return given


BAD: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no set": lambda given: given.pop("jwks"),
    "an empty one": lambda given: given["jwks"]["keys"].clear(),
    "no key to seal to": lambda given: given["jwks"]["keys"].pop(0),
    "no key to sign with": lambda given: given["jwks"]["keys"].pop(1),
    "two keys to seal to": lambda given: given["jwks"]["keys"].append(new_key("z")[1]),
    "a key without a use": lambda given: given["jwks"]["keys"][0].pop("use"),
    "a private key": lambda given: given["jwks"]["keys"][1].update(d="AA"),
    "a private key to seal to": lambda given: given["jwks"]["keys"][0].update(d="AA"),
    "a key off its curve": lambda given: given["jwks"]["keys"][0].update(x="AA"),
    "a key without a name": lambda given: given["jwks"]["keys"][0].pop("kid"),
    "one key for both uses": lambda given: given["jwks"]["keys"][1].update(
        {name: given["jwks"]["keys"][0][name] for name in ("x", "y")}
    ),
    "no objects": lambda given: given["jwks"].update(keys=[1, 2]),
    "an address that is none": lambda given: given["endpoints"].update(push="http://inside.test"),
    "an address of another kind": lambda given: given["endpoints"].update(other="https://a.test"),
    "an address without end": lambda given: given["endpoints"].update(push="https://a.test/" + "x" * 999),
}


@pytest.mark.parametrize("what", BAD)
def test_a_submission_is_refused_without_a_value_of_it(rig: Rig, what: str) -> None:
    given = spoilt(BAD[what])
    with pytest.raises(EnrolmentRefused) as told:
        rig.desk.submit(rig.asking(), given)
    assert told.value.public.split(":")[0].split(".")[0] in ("jwks", "endpoints")
    assert "inside" not in told.value.public
    assert rig.enrolments.newest() == {}


@pytest.mark.parametrize("given", [None, [], "x", 1, {}])
def test_what_is_no_submission_at_all_is_refused(rig: Rig, given: object) -> None:
    with pytest.raises(EnrolmentRefused):
        rig.desk.submit(rig.asking(), given)


def test_one_recipient_fills_no_table(rig: Rig) -> None:
    asking, keys = rig.asking(), Keys("a")
    for _ in range(SUBMISSIONS_MAX):
        rig.desk.submit(asking, {"jwks": keys.jwks})
    with pytest.raises(EnrolmentRefused, match="an hour"):
        rig.desk.submit(asking, {"jwks": keys.jwks})
    rig.desk.submit(rig.asking(rig.invite("harbor-federal")), {"jwks": keys.jwks})


def test_every_act_leaves_its_row(rig: Rig) -> None:
    rig.in_force(Keys("a"))
    revoke_keys(rig.state, rig.clock, BANK, by="ada", reason="lost")
    rows = rig.enrolments._db.execute("select verb, actor from enrolment_events order by event_id").fetchall()
    assert rows == [
        ("invite", "ada"), ("submit_keys", f"issuer:{BANK}"), ("prove_keys", f"issuer:{BANK}"),
        ("enrol", "bo"), ("revoke_keys", "ada"),
    ]  # fmt: skip
