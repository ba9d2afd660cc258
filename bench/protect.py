"""Protection profile B, from a card and fields to a signed token, against a bare ES256 signing loop.

For each message: the recipient's pseudonym of the card, the body as JSON, sealed under the content key of one
of 200 recipients, and the SET around it signed. No two payloads are alike, and in the middle of each run a
recipient's key expires, and its file has another then. Rates and times are of the thread's CPU time: of one
core that does nothing else, whoever shares the machine.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc import jwe, jws
from joserfc.jwk import ECKey

from bench.result import Run, Scale, alternate
from enrichment.fields import DICTIONARY_VERSION, mask_of
from enrichment.payment import Assessment, Facts, Payment
from enrichment.reader import make_read
from enrichment.signals import Signals, assessed_signals
from enrichment.velocity import VelocityKind
from gateway.backends.embedded.in_file import new_signing_key
from gateway.backends.embedded.mac_keys import HkdfMacKeys
from gateway.runtime.clock import SystemClock, WallTimeMs
from gateway.runtime.entropy import SystemEntropy
from gateway.runtime.native import engines
from gateway.sealing import jwk
from gateway.sealing.body import routing_of
from gateway.sealing.jwe import Sealer
from gateway.sealing.keys import RecipientKey, SignatureAlgorithm, StaticRecipientKeys
from gateway.sealing.pseudonyms import Pseudonyms
from gateway.sealing.set import SET_TYPE, SHARE_EVENT, share_set
from gateway.sealing.signer import LocalSigner
from gateway.sharing.share import Order, make_shares, match_keys
from issuernetwork.issuer_cli import new_key
from issuernetwork.storage.v1 import journal_pb2 as storage
from issuernetwork.v1.common_pb2 import TRANSPORT_SSF
from tests.kit.payments import payment

RECIPIENTS = 200
MESSAGES = 20_000
"""Of one run: most of a second."""

SLOW_MESSAGES = 1_500
"""Of what is shown beside it, which takes several times as long."""

TIMED_TOGETHER = 32
"""Messages between two looks at the clock: what a batch of the hot loop holds under load."""

NOW_MS = 1_790_000_000_000
ISS, PROGRAM, PURPOSE, EPOCH = "https://network.example", "enhanced-data", 1, 1
EXPIRES_AT_MS = NOW_MS + 48 * 3_600_000
_ES256 = ec.ECDSA(SHA256())
_READ = make_read(engines)


FIELDS = mask_of(["email", "billing_address", "device_id", "card_attempts_10m", "score_norm", "reason_codes"])
"""Released by each of our messages."""


@dataclass(frozen=True, slots=True)
class Message:
    """What one share is made of. Drawn before the clock runs, like a request that was assessed."""

    recipient_id: str
    card: str
    known: Signals
    match_keys: tuple[str, ...]
    evaluation_id: str
    around: bytes
    """Of its record, what is not of the decision."""


def _messages(run: int, count: int) -> list[Message]:
    draw = Random(run)
    return [
        # The one whose key expires is asked for before and after, however short the run.
        _message(f"bank-{draw.randrange(RECIPIENTS) if 0 < number < count - 1 else 0:03d}", draw, run, number)
        for number in range(count)
    ]


def _message(recipient_id: str, draw: Random, run: int, number: int) -> Message:
    request = payment(draw.randrange(10_000_000), now_ms=NOW_MS, prefix=f"{run}-{number}")
    request.customer.email = f"person{draw.randrange(10**9)}@mailbox.example"
    request.customer.billing.line1 = f"{number} Road"
    request.device.device_id = f"{draw.getrandbits(128):032x}"
    request.acquirer.retrieval_reference_number = f"{draw.randrange(10**12):012d}"
    known = _READ(request.SerializeToString(), NOW_MS)
    assert isinstance(known, Payment)
    counts = (draw.randrange(9), 1, 1, 1, 1, 1, 1, 1)
    assessment = Assessment(
        "ein", "card_not_present", "points-1", 0.5, 0.0, 1.0, True, draw.randrange(1_000),
        ("ip_repeat", "device_repeat"),
    )  # fmt: skip
    found = assessed_signals(known, Facts((counts,) * len(VelocityKind), (), {}, 0), assessment, True)
    assert found.mask & FIELDS == FIELDS, "each message has all fields that are released"
    evaluation_id = f"{run % 1_000:03d}{number:023d}"
    around = storage.Evaluation(evaluation_id=evaluation_id, issuer_id=recipient_id).SerializeToString()
    return Message(recipient_id, request.card.pan, found, match_keys(known), evaluation_id, around)


class Replaced:
    """Keys whose files are replaced when the first of them ends, as whoever rotates them does."""

    def __init__(self, before: StaticRecipientKeys, after: StaticRecipientKeys, ends_ms: int) -> None:
        self._before, self._after, self._ends_ms = before, after, ends_ms

    def current(self, recipient_id: str, *, now_ms: int) -> RecipientKey:
        keys = self._before if now_ms < self._ends_ms else self._after
        return keys.current(recipient_id, now_ms=now_ms)


class Keys:
    """Keys of 200 recipients on P-256; the first one's expires soon, and another takes its place then."""

    def __init__(self) -> None:
        self.private: dict[str, dict[str, str]] = {}
        self._keys: list[RecipientKey] = []
        for number in range(RECIPIENTS):
            recipient_id = f"bank-{number:03d}"
            self.private[recipient_id], public = new_key(f"{recipient_id}-1")
            self._keys += jwk.recipient_keys(recipient_id, json.dumps({"keys": [public]}))

    def expiring(self) -> Replaced:
        """The first recipient's first key is good until `NOW_MS`; then its file has another."""
        first, *others = self._keys
        soon = RecipientKey(first.recipient_id, "expires", first.alg, others[0].public_key, NOW_MS)
        return Replaced(StaticRecipientKeys((soon, *others)), StaticRecipientKeys((first, *others)), NOW_MS)


class HalfwayClock(SystemClock):
    """Its wall stands still but for one step, in the middle of a run."""

    __slots__ = ("wall",)

    def __init__(self) -> None:
        self.wall = NOW_MS - 1

    def wall_ms(self) -> WallTimeMs:
        return WallTimeMs(self.wall)


class Protector:
    """The product's own functions, one after the other: the gateway's, then those of the feeds' process."""

    def __init__(self, keys: Keys, alg: SignatureAlgorithm, *, fresh: bool = False) -> None:
        self._keys, self._fresh = keys, fresh
        self._entropy = SystemEntropy()
        self._signer = LocalSigner(new_signing_key(alg, self._entropy))
        self._pseudonyms = Pseudonyms(HkdfMacKeys(self._entropy.bytes(32)))
        self._shares, self._make_target = make_shares(self._pseudonyms.macs)
        self._routings = {name: routing_of(name, name, PROGRAM, PURPOSE) for name in keys.private}
        self._parts = {name: _standing_part(name) for name in keys.private}

    def run(self, run: int, count: int) -> Run:
        messages = _messages(run, count)
        clock = HalfwayClock()
        sealer = Sealer(self._entropy, clock, self._keys.expiring())
        signer, fresh, tokens_of = self._signer, self._fresh, self._pseudonyms.tokens
        seal, make_target, routings, parts = self._shares.seal, self._make_target, self._routings, self._parts
        middle, kids = messages[count // 2], set[str]()
        # A content key serves for minutes, thousands of messages at this rate: those of before are there, and
        # the one behind the key that expires is made within the run.
        for recipient_id in self._routings:
            sealer.held(recipient_id)

        def recorded(message: Message) -> bytes:
            """As gateway/sharing/seal.py: a batch holds few messages for each of its recipients."""
            recipient_id = message.recipient_id
            held = sealer.held(recipient_id, fresh=fresh)
            kid = held.recipient_key.kid
            kids.add(kid)
            target = make_target(
                PROGRAM, routings[recipient_id], kid, held.content_key, EPOCH,
                tokens_of(recipient_id, EPOCH), None,
            )  # fmt: skip
            held.messages_left -= 1
            order: Order = (target, FIELDS, b"", parts[recipient_id], "", 1, b"")
            ((_, _, decision),) = seal(
                message.known, message.card, "payments", message.match_keys, EXPIRES_AT_MS, [order]
            )
            return decision

        def protect(message: Message) -> bytes:
            if message is middle:
                clock.wall = NOW_MS
            # As gateway/feeds/fanout.py reads and signs it, in another process.
            record = storage.Evaluation.FromString(message.around + recorded(message))
            (decision,) = record.decisions
            share_id, evaluation_id = decision.share_id, record.evaluation_id
            return share_set(
                signer, iss=ISS, recipient_id=decision.recipient_id, issued_at_ms=NOW_MS, jti=share_id,
                evaluation_id=evaluation_id, share_id=share_id, issuer_id=record.issuer_id,
                program=decision.program, sealed=decision.sealed, stream_seq=1,
            )  # fmt: skip

        long = len(protect(messages[1]).rpartition(b".")[0])
        assert abs(long - SIGNED_BYTES) < SIGNED_BYTES / 50, (
            f"the bare loop signs as much as ours: {long} bytes"
        )
        done = timed(protect, messages)
        assert {"expires", "bank-000-1"} <= kids, "no key expired inside the run"
        return done


def _standing_part(recipient_id: str) -> bytes:
    """What all decisions about a program at an issuer have in common, as gateway/sharing/encode.py says."""
    return storage.Decision(
        program=PROGRAM, enrolment_id=f"e-{recipient_id}", contract_id="c-1", purpose=PURPOSE, variant="full",
        experiment_id="x-1", ramp_ppm=1_000_000, holdout_ppm=50_000, dictionary_version=DICTIONARY_VERSION,
        recipient_id=recipient_id, profile="profile-b", transports=[TRANSPORT_SSF],
    ).SerializeToString()  # fmt: skip


def timed(step: Callable[[Any], object], items: list[Any]) -> Run:
    """Each latency is of one item, averaged over those that were timed together."""
    latencies = []
    began = time.thread_time()
    for first in range(0, len(items), TIMED_TOGETHER):
        some = items[first : first + TIMED_TOGETHER]
        start = time.thread_time()
        for item in some:
            step(item)
        latencies.append((time.thread_time() - start) * 1000 / len(some))
    return Run(len(items), time.thread_time() - began, latencies)


def _bare(count: int) -> Callable[[int], Run]:
    """ES256 over inputs as long as ours, and nothing else: not even the signature in the form of JWS."""
    key = ec.generate_private_key(ec.SECP256R1())

    def run(number: int) -> Run:
        draw = Random(number)
        return timed(
            lambda data: key.sign(data, _ES256), [draw.randbytes(SIGNED_BYTES) for _ in range(count)]
        )

    return run


SIGNED_BYTES = 2_230
"""Header and payload of one of our tokens."""


def _by_joserfc(keys: Keys, count: int) -> Callable[[int], Run]:
    """The same token by a general library, which makes a content key for each message."""
    key = ECKey.generate_key("P-256")
    recipients = {name: ECKey.import_key(private) for name, private in keys.private.items()}
    pseudonyms = Pseudonyms(HkdfMacKeys(SystemEntropy().bytes(32)))

    def protect(message: Message) -> str:
        recipient_id = message.recipient_id
        body = {
            "share_id": message.evaluation_id, "issuer_id": recipient_id, "recipient_id": recipient_id,
            "program": PROGRAM, "purpose": "fraud_authorization", "schema_version": 1,
            "card_token": pseudonyms.card_tokens(recipient_id, EPOCH)(message.card), "token_epoch": EPOCH,
            "match": {"keys": message.match_keys, "attempted_at_ms": NOW_MS},
            "fields": message.known.named(FIELDS),
        }  # fmt: skip
        wrap = {"alg": "ECDH-ES+A256KW", "enc": "A256GCM", "kid": f"{recipient_id}-1"}
        sealed = jwe.encrypt_compact(
            wrap, json.dumps(body), recipients[recipient_id], algorithms=["ECDH-ES+A256KW", "A256GCM"]
        )
        event = {
            "program": PROGRAM, "share_id": message.evaluation_id, "issuer_id": recipient_id, "stream_seq": 1,
            "encryptedData": sealed,
        }  # fmt: skip
        claims = {
            "iss": ISS, "aud": recipient_id, "iat": NOW_MS // 1000,
            "jti": message.evaluation_id, "txn": message.evaluation_id,
            "sub_id": {"format": "opaque", "id": message.evaluation_id}, "events": {SHARE_EVENT: event},
        }  # fmt: skip
        header = {"alg": "ES256", "kid": "sig-1", "typ": SET_TYPE}
        return jws.serialize_compact(header, json.dumps(claims), key, algorithms=["ES256"])

    return lambda run: timed(protect, _messages(run, count))


def protect_profile_b(scale: Scale) -> str:
    """Messages a second under cached content keys; fresh ones, RS256 and joserfc beside it."""
    keys = Keys()
    es256 = SignatureAlgorithm.ES256
    ours, fresh = Protector(keys, es256), Protector(keys, es256, fresh=True)
    rs256 = Protector(keys, SignatureAlgorithm.RS256)
    return alternate(
        "protect_profile_b",
        "bare ES256 signing loop over as many bytes, one core",
        lambda run: ours.run(run, MESSAGES),
        _bare(MESSAGES),
        runs=scale.runs,
        load=f"{RECIPIENTS} recipients, distinct payloads, a key expires in each run",
        beside={
            "fresh content key": lambda run: fresh.run(run, SLOW_MESSAGES),
            "RS256": lambda run: rs256.run(run, SLOW_MESSAGES),
            "joserfc, ES256, fresh content key": _by_joserfc(keys, SLOW_MESSAGES),
        },
    )
