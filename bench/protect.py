"""Protection profile B, from a card and fields to a signed token, against a bare ES256 signing loop.

For each message: the recipient's pseudonym of the card, the body as JSON, sealed under the content key of one
of 200 recipients, and the SET around it signed. No two payloads are alike, and in the middle of each run a
recipient's key expires, and its file has another then. Rates and times are of the thread's CPU time: of one
core that does nothing else, whoever shares the machine.

Messages are drawn a batch at a time, each right before the clock runs: what the gateway shares it has read a
moment ago. Drawn all at once, 20,000 of them lay in hundreds of megabytes, and the clock ran while the
memory answered. What stands beside ours gets its messages in the same way. Drawing turns the processor's
caches over, so that a batch pays for beginning cold: that is shown by smaller ones beside.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc import jwe, jws
from joserfc.jwk import ECKey

from bench.result import Run, Scale, alternate
from enrichment.fields import mask_of
from enrichment.payment import Assessment, Facts, Payment
from enrichment.reader import make_read
from enrichment.signals import Signals, assessed_signals
from enrichment.velocity import VelocityKind
from gateway.backends.embedded.in_file import new_signing_key
from gateway.backends.embedded.mac_keys import HkdfMacKeys
from gateway.feeds.fanout import BATCH_MAX_ENTRIES
from gateway.feeds.reading import read_evaluation
from gateway.programs.table import ProgramEntry
from gateway.runtime.clock import SystemClock, WallTimeMs
from gateway.runtime.entropy import SystemEntropy
from gateway.runtime.native import engines
from gateway.sealing import base64url, jwk
from gateway.sealing.jwe import Sealer
from gateway.sealing.keys import RecipientKey, SignatureAlgorithm, StaticRecipientKeys
from gateway.sealing.pseudonyms import Pseudonyms
from gateway.sealing.set import SET_TYPE, SHARE_EVENT, share_set
from gateway.sealing.signer import LateSigner, LocalSigner
from gateway.sealing.token_epochs import TokenEpochs
from gateway.sharing.encode import Encoder
from gateway.sharing.loop import calm_collector
from gateway.sharing.seal import ShareSealer
from gateway.sharing.share import Order, match_keys
from issuernetwork.issuer_cli import new_key
from issuernetwork.storage.v1 import journal_pb2 as storage
from issuernetwork.v1.common_pb2 import TRANSPORT_SSF
from tests.kit.payments import payment

RECIPIENTS = 200
MESSAGES = 20_000
"""Of one run: most of a second."""

SLOW_MESSAGES = 1_500
"""Of what is shown beside it, which takes several times as long."""

TIMED_TOGETHER = BATCH_MAX_ENTRIES
"""Messages between two looks at the clock: what feeds take at once while there is more, as at a rate that
fills a core. The hot loop takes up to 256 calls or 256 KiB."""

FEW_TOGETHER = 32
"""The same with batches of a loop that has time left, for comparison."""

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


def _batches(run: int, count: int, together: int = TIMED_TOGETHER) -> Iterator[list[Message]]:
    draw = Random(run)
    for first in range(0, count, together):
        yield [
            # The one whose key expires is asked for before and after, however short the run.
            _message(
                f"bank-{draw.randrange(RECIPIENTS) if 0 < number < count - 1 else 0:03d}", draw, run, number
            )
            for number in range(first, min(first + together, count))
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
        self._keys = keys
        self._entropy = SystemEntropy()
        key = new_signing_key(alg, self._entropy)
        self._signer = LateSigner(key.kid, alg, lambda: LocalSigner(key))
        self._pseudonyms = Pseudonyms(HkdfMacKeys(self._entropy.bytes(32)))
        self._encoder = Encoder()
        entries = {name: _entry(name, fresh) for name in keys.private}
        part_of = self._encoder.standing_part
        self._standing = {name: (entry, part_of(entry, ())) for name, entry in entries.items()}
        """With what records say of all shares of an entry: the engine asks for it once."""

    def run(self, run: int, count: int, together: int = TIMED_TOGETHER) -> Run:
        clock = HalfwayClock()
        sealer = Sealer(self._entropy, clock, self._keys.expiring())
        sharing = ShareSealer(self._pseudonyms, sealer, self._encoder)
        # A content key serves for minutes, thousands of messages at this rate: those of before are there, and
        # the one behind the key that expires is made within the run.
        for recipient_id in self._standing:
            sealer.held(recipient_id)
        ends: list[bytes] = []
        tokens: list[bytes] = []

        def protect(batch: list[Message]) -> None:
            tokens[:] = self._signed(self._recorded(sharing, batch, clock.wall))

        def batches() -> Iterator[list[Message]]:
            for number, batch in enumerate(_batches(run, count, together)):
                if number * together >= count // 2:
                    clock.wall = NOW_MS
                yield batch
                ends.extend((tokens[0], tokens[-1]))

        with calm_collector():  # as the hot loop is
            done = timed(protect, batches())
        kids = _kid_of(ends[0]), _kid_of(ends[-1])
        assert kids == ("expires", "bank-000-1"), "no key expired inside the run"
        signed_bytes = len(ends[0].rpartition(b".")[0])
        assert abs(signed_bytes - SIGNED_BYTES) < SIGNED_BYTES / 50, (
            f"the bare loop signs as much as ours: {signed_bytes} bytes"
        )
        return done

    def _recorded(self, sharing: ShareSealer, batch: list[Message], now_ms: int) -> list[bytes]:
        """As the gateway begins a batch and native/src/steps/conclude.rs seals it: few for each recipient."""
        sharing.begin(now_ms, _NO_CHANGES, EXPIRES_AT_MS)
        seal, target_of, standing = sharing.shares.seal, sharing.target_of, self._standing
        records = []
        for message in batch:
            entry, part = standing[message.recipient_id]
            found = target_of(entry)
            assert found is not None, "no profile A"
            found.held.messages_left -= 1
            order: Order = (found.target, FIELDS, b"", part, "", 1)
            ((_, _, decision),) = seal(
                message.known, message.card, "payments", message.match_keys, EXPIRES_AT_MS, [order]
            )
            records.append(message.around + decision)
        return records

    def _signed(self, records: list[bytes]) -> list[bytes]:
        """As gateway/feeds/fanout.py reads a batch and signs it, in another process."""
        signer = self._signer
        return [
            share_set(
                signer, iss=ISS, recipient_id=share.recipient_id, issued_at_ms=NOW_MS, jti=share.share_id,
                evaluation_id=record.evaluation_id, share_id=share.share_id, issuer_id=record.issuer_id,
                program=share.program, sealed=share.sealed, stream_seq=1,
            )
            for record in [read_evaluation(one) for one in records]
            for share in record.decisions
        ]  # fmt: skip


_NO_CHANGES = TokenEpochs()


def _entry(recipient_id: str, fresh: bool) -> ProgramEntry:
    return ProgramEntry(
        program=PROGRAM, issuer_id=recipient_id, ahead=True, purpose=PURPOSE, recipient_id=recipient_id,
        enrolment_id=f"e-{recipient_id}", contract_id="c-1", variant="full", experiment_id="x-1",
        ramp_ppm=1_000_000, holdout_ppm=50_000, transports=(TRANSPORT_SSF,), fresh_content_key=fresh,
    )  # fmt: skip


def _kid_of(token: bytes) -> str:
    """Whose key the share in a token is sealed to."""
    payload = json.loads(base64url.decode(token.split(b".")[1]))
    header = payload["events"][SHARE_EVENT]["encryptedData"].partition(".")[0]
    kid: str = json.loads(base64url.decode(header.encode()))["kid"]
    return kid


def timed(step: Callable[[Any], object], batches: Iterable[Any]) -> Run:
    """The clock stands while a batch is drawn. Each latency is of one item, averaged over its batch."""
    items, spent_s, latencies = 0, 0.0, []
    for batch in batches:
        start = time.thread_time()
        step(batch)
        took_s = time.thread_time() - start
        items += len(batch)
        spent_s += took_s
        latencies.append(took_s * 1000 / len(batch))
    return Run(items, spent_s, latencies)


def _bare(sign: Callable[[bytes], object], count: int) -> Callable[[int], Run]:
    """ES256 over inputs as long as ours, and nothing else: not even the signature in the form of JWS."""

    def run(number: int) -> Run:
        draw = Random(number)
        sizes = [TIMED_TOGETHER] * (count // TIMED_TOGETHER)

        def signed(batch: list[bytes]) -> None:
            for data in batch:
                sign(data)

        return timed(signed, ([draw.randbytes(SIGNED_BYTES) for _ in range(size)] for size in sizes))

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

    return lambda run: timed(lambda batch: [protect(one) for one in batch], _batches(run, count))


def protect_profile_b(scale: Scale) -> str:
    """Messages a second under cached content keys; fresh ones, RS256 and joserfc beside it."""
    keys = Keys()
    es256 = SignatureAlgorithm.ES256
    ours, fresh = Protector(keys, es256), Protector(keys, es256, fresh=True)
    rs256 = Protector(keys, SignatureAlgorithm.RS256)
    by_openssl = ec.generate_private_key(ec.SECP256R1())
    by_us = LocalSigner(new_signing_key(es256, SystemEntropy()))
    return alternate(
        "protect_profile_b",
        "bare ES256 signing loop over as many bytes, one core",
        lambda run: ours.run(run, MESSAGES),
        _bare(lambda data: by_openssl.sign(data, _ES256), MESSAGES),
        runs=scale.runs,
        load=f"{RECIPIENTS} recipients, distinct payloads, {TIMED_TOGETHER} at a time, "
        "a key expires in each run",
        beside={
            f"{FEW_TOGETHER} at a time": lambda run: ours.run(run, MESSAGES, FEW_TOGETHER),
            "bare ES256 by our signer": _bare(by_us.sign, MESSAGES),
            "fresh content key": lambda run: fresh.run(run, SLOW_MESSAGES),
            "RS256": lambda run: rs256.run(run, SLOW_MESSAGES),
            "joserfc, ES256, fresh content key": _by_joserfc(keys, SLOW_MESSAGES),
        },
    )
