"""Mutated tokens by the hundred thousand, and a catalogue of attacks: each meets a typed error."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from gateway.sealing import jwk
from gateway.sealing.body import clear_members
from gateway.sealing.inbound import TokenRefused
from gateway.sealing.keys import SignatureAlgorithm
from gateway.sealing.operator_token import OperatorTokenRefused, make_token, thumbprint, verify_token
from gateway.sealing.signer import LocalSigner
from issuernetwork.receiver import RefusedToken
from tests.property.test_jwe_mutations import mutant
from tests.prove.token_attacks import AUDIENCE, Target, attacks, refusal
from tests.unit.receiver.network import NOW_MS, WRAPS, Network, signing_key

MUTANTS = {False: 100_000, True: 1_000_000}

IN_TEN = {"signature": 5, "sealed": 3, "inbound": 1, "operator": 1}
"""Of ten mutants: of the SET, of the body in a SET that we sign, of a receipt, of an operator's token."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A good token, and what takes it or raises one of `refusals`."""

    name: str
    kind: str
    token: bytes
    take: Callable[[bytes], object]
    refusals: tuple[type[Exception], ...]


def _subjects() -> list[Subject]:
    found = []
    for alg in SignatureAlgorithm:
        network = Network(signing=signing_key(alg))
        found.append(
            Subject(f"SET {alg}", "signature", network.share(), network.receiver.open, (RefusedToken,))
        )
    network = Network()
    clear = network.share(sealed=clear_members(1, {"mcc": "5411"}), clear=True)
    found.append(Subject("SET not sealed", "signature", clear, network.receiver.open, (RefusedToken,)))
    for wrap, curve in WRAPS:
        network = Network(alg=wrap, curve=curve)
        found.append(
            Subject(
                f"sealed {wrap} {curve}",
                "sealed",
                network.sealed(),
                # What is no text of ASCII is no string of JSON that we would sign.
                lambda sealed, network=network: network.receiver.open(
                    network.share(sealed=sealed.replace(b"\xff", b"\x7f").replace(b'"', b"'"))
                ),
                (RefusedToken,),
            )
        )
    target = Target()
    for alg in SignatureAlgorithm:
        receipt = target.sent(
            {"alg": str(alg), "kid": f"sig-{alg}"}, target.receipt(jti=f"mutant-{alg}"), alg
        )
        found.append(Subject(f"receipt {alg}", "inbound", receipt, target.take, (TokenRefused,)))
    found.append(_operators())
    return found


def _operators() -> Subject:
    key = signing_key(SignatureAlgorithm.ES256)
    public = {name: value for name, value in jwk.public_jwk(key).items() if name in ("kty", "crv", "x", "y")}
    signer = LocalSigner(jwk.signing_key({**jwk.private_jwk(key), "kid": thumbprint(public)}))
    token = make_token(signer, audience=AUDIENCE, jti="j", now_ms=NOW_MS).encode()

    def take(changed: bytes) -> None:
        # As it comes off a header: text of one byte a letter.
        verify_token(changed.decode("latin-1"), public, audience=AUDIENCE, now_ms=NOW_MS)

    return Subject("operator's token", "operator", token, take, (OperatorTokenRefused,))


def _mutate(subject: Subject, count: int, draw: Random, seed: int) -> Counter[str]:
    codes: Counter[str] = Counter()
    for number in range(count):
        changed = mutant(subject.token, draw)
        try:
            subject.take(changed)
        except subject.refusals as refused:
            codes[str(getattr(refused, "check", getattr(refused, "code", "")))] += 1
        except Exception as fault:
            raise AssertionError(
                f"{subject.name}, mutant {number} of seed {seed}: {type(fault).__name__}, no typed refusal"
            ) from fault
        else:
            raise AssertionError(f"{subject.name}, mutant {number} of seed {seed}: taken")
    return codes


def run(full: bool) -> dict[str, Any]:
    seed = time.time_ns() // 1_000_000
    print(f"seed {seed}", flush=True)
    draw, subjects = Random(seed), _subjects()
    refused: dict[str, int] = {}
    codes: Counter[str] = Counter()
    for subject in subjects:
        alike = sum(1 for one in subjects if one.kind == subject.kind)
        count = -(-MUTANTS[full] * IN_TEN[subject.kind] // 10 // alike)
        found = _mutate(subject, count, draw, seed)
        assert sum(found.values()) == count
        refused[subject.name] = count
        codes += found
    tried = [(attack, refusal(attack)) for attack in attacks()]
    wrong = [f"{one.kind}, {one.name}: {met or 'taken'}" for one, met in tried if met != one.refused]
    assert not wrong, f"not refused as they have to be: {wrong}"
    # The good ones, last: what refuses everything proves nothing.
    for subject in subjects:
        subject.take(subject.token)
    return {
        "seed": seed,
        "mutants": sum(refused.values()),
        "taken": 0,
        "refused": refused,
        "refused_by_code": dict(codes.most_common()),
        "attacks": dict(Counter(one.kind for one, _ in tried)),
        "attacks_taken": 0,
    }
