"""Entries of the ledger, their one encoding, and the chain that they stand in.

An entry is `version | sequence number | hash of the entry before it | body`; the body is JSON in ASCII, names
sorted, without spaces. Its hash is that of a leaf of RFC 6962: one hash serves chain and tree. No entry holds
a personal datum: pseudonyms, ids, hashes, a mask of fields and times.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from json import JSONEncoder
from struct import Struct
from typing import Final

from gateway.ledger.merkle import Frontier, leaf_hash
from gateway.records.masks import mask_in
from issuernetwork.storage.v1 import journal_pb2 as storage
from issuernetwork.v1 import common_pb2 as v1

VERSION: Final = 1

PREFIX: Final = Struct(">BQ32s")
"""Version, sequence number from 0, hash of the entry before."""

ACTS_CHAIN: Final = "acts"
"""The chain of administrative acts: the policy store is no journal and has no partitions."""

SENT: Final = "sent"
RETURNED: Final = "returned"
"""How a share left: recorded SENT by the feeds, or released for the message that the caller gets back."""

encode_json = JSONEncoder(separators=(",", ":"), sort_keys=True, ensure_ascii=True, allow_nan=False).encode

TRANSPORT_NAMES: Final = {
    number: name.removeprefix("TRANSPORT_").lower() for name, number in v1.Transport.items()
}
_PURPOSE_NAMES: Final = {number: name.removeprefix("PURPOSE_").lower() for name, number in v1.Purpose.items()}


def chain_of(topic: str, partition: int) -> str:
    """Name of the chain of a journal partition."""
    return f"{topic}/{partition}"


def chain_start(chain: str) -> bytes:
    """Stands for the entry before the first: entries of one chain fit into no other."""
    return sha256(b"ein-ledger-chain-v1\n" + chain.encode()).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEntry:
    """An entry at its place. `share_id` is empty where it is about no share."""

    seq: int
    entry_hash: bytes
    data: bytes
    share_id: str = ""
    transport: int = 0


@dataclass(slots=True)
class Tail:
    """Where a chain ends: what is needed to add to it."""

    chain: str
    last_hash: bytes
    tree: Frontier = field(default_factory=Frontier)

    @staticmethod
    def first(chain: str) -> "Tail":
        return Tail(chain, chain_start(chain))

    @property
    def size(self) -> int:
        return self.tree.size

    def append(self, body: str, *, share_id: str = "", transport: int = 0) -> StoredEntry:
        """The next entry of the chain."""
        seq = self.tree.size
        data = PREFIX.pack(VERSION, seq, self.last_hash) + body.encode("ascii")
        self.last_hash = leaf_hash(data)
        self.tree.append(self.last_hash)
        return StoredEntry(
            seq=seq, entry_hash=self.last_hash, data=data, share_id=share_id, transport=transport
        )


def release_facts(
    decision: storage.Decision,
    *,
    evaluation_id: str,
    sender_id: str,
    issuer_id: str,
    policy_version: int,
    decided_at_ms: int,
) -> str:
    """What the ledger says of a share, however it leaves: JSON, a member of its entry."""
    previous = decision.previous_card_token
    return encode_json(
        {
            **({"previous_card_token": previous} if previous else {}),
            "card_token": decision.card_token,
            "consent_id": decision.consent_id,
            "contract_id": decision.contract_id,
            "decided_at_ms": decided_at_ms,
            "dictionary_version": decision.dictionary_version,
            "enrolment_id": decision.enrolment_id,
            "evaluation_id": evaluation_id,
            "field_mask": f"{mask_in(decision):016x}",
            "issuer_id": issuer_id,
            "payload_sha256": decision.payload_sha256.hex(),
            "policy_version": policy_version,
            "profile": decision.profile,
            "program": decision.program,
            "purpose": _PURPOSE_NAMES.get(decision.purpose, ""),
            "recipient_id": decision.recipient_id,
            "recipient_kid": decision.recipient_kid,
            "sender_id": sender_id,
            "share_id": decision.share_id,
            "token_epoch": decision.token_epoch,
        }
    )


def unknown_facts(record: storage.DeliveryRecord) -> str:
    """Of a share that left and of which no decision is kept any more: what its delivery says, and that."""
    return encode_json(
        {
            "decision_unknown": True,
            "issuer_id": record.issuer_id,
            "program": record.program,
            "recipient_id": record.recipient_id,
            "share_id": record.share_id,
        }
    )


def returned_body(facts: str, *, position: int, at_ms: int) -> str:
    """A share for the message. The record was durable before the answer: its caller may have missed it."""
    return (
        f'{{"at_ms":{at_ms:d},"kind":"share","left":"{RETURNED}","position":{position:d},'
        f'"share":{facts},"transport":"{TRANSPORT_NAMES[v1.TRANSPORT_MESSAGE]}"}}'
    )


def sent_body(facts: str, record: storage.DeliveryRecord, *, position: int) -> str:
    """A share that the feeds wrote down as SENT: the bytes were written right after, if at all."""
    delivery = encode_json(
        {
            "jti": record.jti,
            "set_sha256": record.set_sha256.hex(),
            "stream_id": record.stream_id,
            "stream_seq": record.stream_seq,
        }
    )
    transport = TRANSPORT_NAMES.get(record.transport, str(int(record.transport)))
    return (
        f'{{"at_ms":{record.at_ms:d},"delivery":{delivery},"kind":"share","left":"{SENT}",'
        f'"position":{position:d},"share":{facts},"transport":"{transport}"}}'
    )


def gap_body(*, after: int, resumed_at: int) -> str:
    """The journal had lost records by retention before the ledger read them: said, never passed over."""
    return encode_json({"after": after, "kind": "gap", "resumed_at": resumed_at})


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """An administrative act. `row` is what its own store keeps of it, names and reasons included.

    Of `row` only the hash goes into the ledger: whoever holds the row can show that it is the one.
    """

    source: str
    position: int
    """Number within `source`, rising by one."""

    verb: str
    at_ms: int
    program: str = ""
    issuer_id: str = ""
    policy_version: int = 0
    row: Mapping[str, object] = field(repr=False, default_factory=dict)


def row_sha256(act: Act) -> str:
    """What the ledger keeps of the row."""
    return sha256(encode_json(act.row).encode()).hexdigest()


def act_body(act: Act) -> str:
    return encode_json(
        {
            "act": act.verb,
            "at_ms": act.at_ms,
            "issuer_id": act.issuer_id,
            "kind": "act",
            "policy_version": act.policy_version,
            "position": act.position,
            "program": act.program,
            "row_sha256": row_sha256(act),
            "source": act.source,
        }
    )
