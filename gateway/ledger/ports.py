"""What the ledger keeps, and where it is written for outsiders. One process owns a store."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gateway.ledger.entry import Act, StoredEntry, Tail
from gateway.records.errors import GatewayError


class LedgerUnavailable(GatewayError):
    """Nothing of the change was kept: the disk is full, or another process owns the ledger."""

    code = "ledger_unavailable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What is known of a share from its decision, kept until it may leave no more."""

    share_id: str
    facts: str
    decided_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CardShare:
    """A share, and the card that it is about: the one way from a card to what was shared about it."""

    share_id: str
    """Empty where nothing was shared, and the names alone are kept: they lead to each other."""
    unit_key: bytes = field(repr=False)
    card_key: bytes = field(repr=False, default=b"")
    """By the card's other name, where the payment gave two."""
    one_card: bool = False
    """Whether both keys are of that card alone: a reference of a sender's own may stand for many."""
    card_token: str = field(repr=False, default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerChange:
    """Everything that one batch of one source does, kept in one transaction with its offset."""

    topic: str
    partition: int
    position: int
    tail: Tail
    """The chain as it is after `entries`."""

    entries: Sequence[StoredEntry] = ()
    releases: Sequence[Release] = field(default_factory=tuple)
    cards: Sequence[CardShare] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptHead:
    """The newest signed head, as its line of the file is."""

    number: int
    line: bytes


EntryRow = tuple[int, bytes, bytes]
"""(row number, hash as kept, entry): as it stands in the store, whoever wrote it."""


class LedgerReader(Protocol):
    """Reads what is kept, as it stands, beside the owner or without one."""

    def tails(self) -> dict[str, Tail]:
        """Each chain, as the owner left it."""
        ...

    def rows(self, chain: str) -> Iterator[EntryRow]:
        """Entries of a chain in the order of their rows."""
        ...

    def chains_of_rows(self) -> list[str]:
        """Names of all chains that rows are of, in order."""
        ...

    def find(self, share_id: str) -> list[tuple[str, int]]:
        """Chain and sequence number of each entry of a share."""
        ...

    def entry(self, chain: str, seq: int) -> bytes:
        """One entry as it stands; empty where there is none."""
        ...

    def hashes(self, chain: str, size: int) -> list[bytes]:
        """Hashes of the first `size` entries as kept, to make a proof from."""
        ...

    def kept_head(self) -> KeptHead | None: ...

    def units_of(self, unit_keys: Sequence[bytes], card_tokens: Sequence[str]) -> list[bytes]:
        """All keys of the card that these names are of.

        Keys that share a card token, or came with one payment, are of one card.
        """
        ...

    def shares_of_units(self, unit_keys: Sequence[bytes]) -> list[str]:
        """Ids of the shares about a card."""
        ...

    def release(self, share_id: str) -> str | None:
        """Facts of a release that are still kept: it may not have left."""
        ...

    def close(self) -> None: ...


class LedgerStore(Protocol):
    """Kept by one owner. Raises LedgerUnavailable."""

    def offset(self, topic: str, partition: int) -> int: ...

    def tail(self, chain: str) -> Tail: ...

    def tails(self) -> dict[str, Tail]: ...

    def known(self, share_ids: Sequence[str]) -> set[tuple[str, int]]:
        """(share_id, transport) of those that have an entry."""
        ...

    def facts(self, share_ids: Sequence[str]) -> Mapping[str, str]:
        """Facts of releases that are kept, by share_id."""
        ...

    def commit(self, change: LedgerChange) -> None:
        """All of it or nothing. Survives the process; a power cut may undo the last, offsets included."""
        ...

    def kept_head(self) -> KeptHead | None: ...

    def keep_head(self, head: KeptHead) -> None:
        """Durable with every commit before it: a head is never signed over what may be undone."""
        ...

    def forget_releases(self, decided_before_ms: int, max_rows: int) -> int:
        """Removes facts of decisions before that time; how many."""
        ...

    def close(self) -> None: ...


class ActSource(Protocol):
    """Where administrative acts are kept."""

    def sources(self) -> Sequence[str]: ...

    def after(self, source: str, position: int, max_acts: int) -> Iterable[Act]:
        """Acts behind `position`, in order."""
        ...


class HeadsFile(Protocol):
    """The file of signed heads, which anyone may copy. Raises LedgerUnavailable."""

    def last_line(self) -> bytes | None:
        """The last whole line, without its end; None where there is none."""
        ...

    def append(self, line: bytes) -> None:
        """Durable when it returns. Cuts off what a crash left half written."""
        ...
