"""Signatures in a module, SoftHSM2's, against signatures with a key in memory: of one thread.

Fan-out signs one share after the other, so this bounds it where keys are in a module. SoftHSM2 computes in
the thread itself, timed by that thread's CPU. Hardware, or a network between, is another matter: measure
yours by the same command, by the wall clock, with EIN_BENCH_PKCS11 naming the library, EIN_BENCH_TOKEN the
label of a token to make keys in and end them, and EIN_PKCS11_PIN its PIN.
"""

import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.result import FULL, Run, Scale, alternate
from gateway.backends.embedded.in_file import new_signing_key
from gateway.backends.secret_source import SecretSource
from gateway.runtime.clock import SystemClock
from gateway.runtime.entropy import SystemEntropy
from gateway.sealing.keys import SignatureAlgorithm, Signer, SigningStore
from gateway.sealing.signer import LocalSigner
from tests.kit.softhsm import PIN, SoftHsm, why_not

SIGNATURES = 4_000
"""Of one run: half a second."""

SLOW_SIGNATURES = 400
"""Of what is shown beside it, which takes several times as long."""

SIGNING_INPUT = b"h" * 120 + b"." + b"p" * 2_400
"""As long as that of a share with all fields."""


def sign_pkcs11(scale: Scale) -> str:
    """The JSON line; one that says why not where there is no module."""
    named = os.environ.get("EIN_BENCH_PKCS11")
    if not named and why_not():
        return json.dumps({"bench": "sign_pkcs11", "skipped": why_not()})
    with tempfile.TemporaryDirectory() as folder:
        if not named:
            soft = SoftHsm(Path(folder))
            soft.make_token("bench")
            os.environ.update({**soft.environment, "EIN_PKCS11_PIN": PIN})
            return _measured(soft.module, "bench", scale, time.thread_time)
        return _measured(Path(named), os.environ.get("EIN_BENCH_TOKEN", ""), scale, time.perf_counter)


def _measured(module: Path, label: str, scale: Scale, clock_s: Callable[[], float]) -> str:
    from gateway.backends.pkcs11.store import Pkcs11Store
    from gateway.backends.pkcs11.token import Token

    pin = SecretSource("the PIN", "EIN_PKCS11_PIN", "pkcs11-pin", Path("pkcs11-pin"))
    store = Pkcs11Store(Token(module, label, pin, SystemClock()))
    es256 = SignatureAlgorithm.ES256
    counts = dict.fromkeys(SignatureAlgorithm, SLOW_SIGNATURES * scale.calls // FULL.calls)
    counts[es256] = SIGNATURES * scale.calls // FULL.calls
    sides: dict[str, Callable[[int], Run]] = {}
    made = []
    try:
        for alg in SignatureAlgorithm:
            signer = _made(store, alg)
            made.append(signer.kid)
            sides[alg] = _signing(signer, counts[alg], clock_s)
        local = LocalSigner(new_signing_key(es256, SystemEntropy()))
        return alternate(
            "sign_pkcs11",
            "ES256 with a key in memory",
            sides.pop(es256),
            _signing(local, counts[es256], clock_s),
            runs=scale.runs,
            beside=sides,
        )
    finally:
        for kid in made:
            store.destroy(kid)


def _made(store: SigningStore, alg: SignatureAlgorithm) -> Signer:
    kid = f"bench-{SystemEntropy().bytes(8).hex()}"
    store.create(kid, alg)
    return store.signer(kid, alg)


def _signing(signer: Signer, count: int, clock_s: Callable[[], float]) -> Callable[[int], Run]:
    def run(number: int) -> Run:
        latencies_ms = []
        began_s = before_s = clock_s()
        for _ in range(count):
            signer.sign(SIGNING_INPUT)
            now_s = clock_s()
            latencies_ms.append((now_s - before_s) * 1000)
            before_s = now_s
        return Run(items=count, seconds=before_s - began_s, latencies_ms=latencies_ms)

    return run
