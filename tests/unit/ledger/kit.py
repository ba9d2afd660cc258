"""A ledger in a folder, filled as the feeds fill it, and what somebody with the disk in hand may do to it."""

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gateway.backends.embedded.consents import SqliteConsents
from gateway.backends.embedded.journal import FileJournalReader, FileJournalWriter
from gateway.backends.embedded.ledger import SqliteLedgerReader, SqliteLedgerStore
from gateway.backends.embedded.ledger_acts import StoredActs
from gateway.backends.embedded.ledger_heads import AppendedHeads
from gateway.backends.embedded.policy import SqlitePolicyStore
from gateway.ledger.entry import PREFIX
from gateway.ledger.merkle import leaf_hash
from gateway.ledger.verify import Report
from gateway.records.journal import DELIVERIES, EVALUATIONS, FEEDS_TOPICS, GATEWAY_TOPICS
from gateway.runtime.clock import SimClock
from gateway.runtime.disk import RealDisk
from gateway.runtime.entropy import UnsafeSeededEntropy
from gateway.sealing.jwe import p256_private_key
from gateway.sealing.keys import SignatureAlgorithm, SigningKey
from gateway.sealing.signer import LocalSigner
from gateway.server.cli.audit import signature_check, verify_state
from gateway.server.feeds.ledger import HEAD_INTERVAL_MS, LedgerKeeper, LedgerParts
from gateway.server.state import StateDir
from issuernetwork.storage.v1 import journal_pb2 as storage
from tests.kit.jwks import public_jwks
from tests.unit.feeds.records import BASE_MS, MESSAGE, SSF, decision, evaluation

KEY = SigningKey("sig-1", SignatureAlgorithm.ES256, p256_private_key(UnsafeSeededEntropy(1)))
CHAIN = "deliveries/0"
ISS = "https://network.example"


def delivery(
    number: int,
    event: storage.DeliveryEvent = storage.DELIVERY_EVENT_SENT,
    *,
    transport: int = SSF,
    jti: str | None = None,
) -> storage.DeliveryRecord:
    """A step of the delivery of share-`number`."""
    return storage.DeliveryRecord(
        share_id=f"share-{number}", recipient_id="northgate-bank", program="risk-score",
        issuer_id="northgate-bank", transport=transport, event=event,  # type: ignore[arg-type]
        stream_id="stream-northgate-bank", stream_seq=number + 1, at_ms=BASE_MS + number,
        jti=f"share-{number}" if jti is None else jti, set_sha256=b"s" * 32,
    )  # fmt: skip


class Ledger:
    """Journals, policy store and ledger of one state directory. `step()` is a round of the feeds' thread."""

    def __init__(self, folder: Path) -> None:
        self.state = StateDir(folder)
        self.state.make()
        self.clock, self.disk = SimClock(wall_ms=BASE_MS), RealDisk()
        self.gateway = FileJournalWriter(self.disk, self.clock, self.state.gateway_journal, GATEWAY_TOPICS)
        self.feeds = FileJournalWriter(self.disk, self.clock, self.state.feeds_journal, FEEDS_TOPICS)
        self.policy = SqlitePolicyStore(str(self.state.policy_db), self.clock)
        self.consents = SqliteConsents(str(self.state.consents_db), self.clock)
        self.key = KEY
        self.start()

    def start(self) -> None:
        """Opens the ledger, again where it was closed."""
        self.store = SqliteLedgerStore(self.state.ledger_db)
        self.heads = AppendedHeads(self.disk, self.state.ledger_heads)
        self.keeper = LedgerKeeper(
            LedgerParts(
                store=self.store,
                gateway_journal=FileJournalReader(self.disk, str(self.state.gateway_journal)),
                own_journal=FileJournalReader(self.disk, str(self.state.feeds_journal)),
                acts=StoredActs(self.state.policy_db, self.state.consents_db),
                heads=self.heads,
                signer=lambda: LocalSigner(self.key),
                iss=ISS,
                clock=self.clock,
            )
        )

    def close(self) -> None:
        self.keeper.close()
        self.gateway.close()
        self.feeds.close()
        self.policy.close()
        self.consents.close()

    def evaluate(self, *numbers: int, transports: Sequence[int] = (SSF,)) -> None:
        """Records that share-`number` was released, each."""
        records = [
            evaluation(
                number, decision(f"share-{number}", transports=transports), decided_at_ms=BASE_MS + number
            )
            for number in numbers
        ]
        self.gateway.append(EVALUATIONS, [one.SerializeToString() for one in records])

    def send(self, *numbers: int) -> None:
        """Records that share-`number` is about to leave, each."""
        self.record(*[delivery(number) for number in numbers])

    def record(self, *records: storage.DeliveryRecord) -> None:
        self.feeds.append(DELIVERIES, [one.SerializeToString() for one in records])

    def step(self) -> int:
        """A round that is late enough for a head."""
        self.clock.advance_ms(HEAD_INTERVAL_MS)
        return self.keeper.step()

    def share(self, *numbers: int) -> None:
        """All the way: released, sent, in the ledger and signed."""
        self.evaluate(*numbers)
        self.send(*numbers)
        self.step()

    def entries(self, chain: str = CHAIN) -> list[bytes]:
        reader = SqliteLedgerReader(self.state.ledger_db)
        try:
            return [data for _, _, data in reader.rows(chain)]
        finally:
            reader.close()

    def verify(self, **options: Any) -> Report:
        return verify_state(self.state, signature_check(public_jwks((KEY,))), **options)

    def found(self, **options: Any) -> list[tuple[str, str, int, int]]:
        """Findings, without their words."""
        return [(one.kind, one.place, one.first, one.last) for one in self.verify(**options).findings]

    # With the disk in hand.

    def sql(self, statement: str, *parameters: object) -> None:
        """Changes the database behind the owner's back."""
        other = sqlite3.connect(self.state.ledger_db, isolation_level=None)
        try:
            other.execute(statement, parameters)
        finally:
            other.close()

    def shift(self, first: int, by: int) -> None:
        """Moves the rows from `first` on by one or more places."""
        self.sql("update entries set seq = -1 - seq where chain = ? and seq >= ?", CHAIN, first)
        self.sql("update entries set seq = -1 - seq + ? where chain = ? and seq < 0", by, CHAIN)

    def put(self, seq: int, data: bytes, *, chain: str = CHAIN) -> None:
        """Writes an entry over whatever is there, with the hash that fits it."""
        self.sql("insert or replace into entries values (?,?,?,?)", chain, seq, leaf_hash(data), data)

    def relink(self, first: int) -> None:
        """Makes everything from `first` on anew, so that the chain fits."""
        entries = self.entries()
        last = leaf_hash(entries[first - 1])
        for seq in range(first, len(entries)):
            version, _, _ = PREFIX.unpack_from(entries[seq])
            data = PREFIX.pack(version, seq, last) + entries[seq][PREFIX.size :]
            self.put(seq, data)
            last = leaf_hash(data)

    def lines(self) -> list[bytes]:
        return self.state.ledger_heads.read_bytes().splitlines()

    def rewrite_heads(self, change: Callable[[list[bytes]], list[bytes]]) -> None:
        self.state.ledger_heads.write_bytes(b"".join(line + b"\n" for line in change(self.lines())))


def changed(data: bytes) -> bytes:
    """The entry with another program in it, as long as before."""
    assert b"risk-score" in data
    return data.replace(b"risk-score", b"risk-scorE")


__all__ = ["BASE_MS", "CHAIN", "KEY", "MESSAGE", "SSF", "Ledger", "changed", "delivery"]
