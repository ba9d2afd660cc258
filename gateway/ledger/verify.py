"""Compares a ledger with its signed heads, and names what was done to it (`runs`).

What no row shows, because everything behind it was made anew, a signed head shows; what no head of ours
shows, because file and store were both cut, a head that somebody keeps elsewhere shows.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from gateway.ledger.acts import compare_acts
from gateway.ledger.entry import ACTS_CHAIN, PREFIX, VERSION, Tail, chain_start
from gateway.ledger.heads import (
    FIRST_PREVIOUS,
    Head,
    HeadInvalid,
    line_hash,
    parse_claims,
    parse_line,
)
from gateway.ledger.merkle import LEAF, Frontier
from gateway.ledger.ports import ActSource, EntryRow, LedgerReader
from gateway.ledger.runs import EDITED, MAX_FINDINGS, UNREADABLE, Finding, Namer, Row, Run, Runs, runs_of

HEADS = "heads"
"""Place of a finding about the heads; others name a chain."""

CheckSignature = Callable[[bytes, int], Mapping[str, Any]]
"""Claims of a compact JWS of ours whose signature holds, by a key that was not retired before wall time
given in ms: what the heads before it tell of the time, whatever it says itself. Raises HeadInvalid."""


@dataclass(frozen=True, slots=True)
class Signed:
    """What a head says of one chain."""

    size: int
    root: bytes
    last_hash: bytes
    number: int
    """Of the head."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was read, and what was found. Empty `findings`: nobody touched it."""

    entries: Mapping[str, int]
    heads: int
    last_head_at_ms: int
    unsigned_entries: int
    """Behind the newest head: nothing speaks for these yet but their chain."""

    acts_compared: int
    """Entries of acts held against the rows of their stores; 0 where the stores are not at hand."""

    findings: tuple[Finding, ...]

    @property
    def intact(self) -> bool:
        return not self.findings

    def as_json(self) -> dict[str, object]:
        return {
            "entries": dict(self.entries),
            "heads": self.heads,
            "last_head_at_ms": self.last_head_at_ms,
            "unsigned_entries": self.unsigned_entries,
            "acts_compared": self.acts_compared,
            "findings": [one.as_json() for one in self.findings],
            "intact": self.intact,
        }


@dataclass(slots=True)
class _Passed:
    """What one pass over a chain came to."""

    runs: list[Run]
    tree: Frontier
    fits_until: int
    differs: Signed | None


def verify_ledger(
    reader: LedgerReader,
    lines: Sequence[bytes],
    check: CheckSignature,
    *,
    anchors: Sequence[bytes] = (),
    acts: ActSource | None = None,
) -> Report:
    """`lines` is the file of heads; `anchors` are lines of it that somebody kept elsewhere.

    `acts` are the stores that the entries of acts were made of, where they are at hand.

    Raises HeadInvalid where an anchor is no head of ours: then it says nothing.
    """
    kept = [_verified(line, check) for line in anchors]
    findings, heads = _verify_heads(reader, lines, check, list(zip(kept, anchors, strict=True)))
    signed = _by_chain([*heads, *kept])
    tails = reader.tails()
    entries: dict[str, int] = {}
    for chain in sorted({*tails, *reader.chains_of_rows(), *signed}):
        passed = pass_over(chain, reader.rows(chain), signed.get(chain, ()))
        entries[chain] = passed.tree.size
        findings += _name(chain, passed, signed.get(chain, ()), tails.get(chain))
    compared, changed = (0, []) if acts is None else compare_acts(reader.rows(ACTS_CHAIN), acts)
    findings += changed
    newest = max(heads, key=lambda head: head.number, default=None)
    return Report(
        entries=entries,
        heads=len(lines),
        last_head_at_ms=0 if newest is None else newest.at_ms,
        acts_compared=compared,
        unsigned_entries=max(0, sum(entries.values()) - (0 if newest is None else newest.size)),
        findings=tuple(findings),
    )


def pass_over(chain: str, rows: Iterable[EntryRow], signed: Sequence[Signed]) -> _Passed:
    """Reads a chain once, a million rows in some seconds: a straight line for what follows as it should."""
    runs, tree, heads = Runs(), Frontier(), iter(signed)
    head = next(heads, None)
    head_size = 0 if head is None else head.size
    fits_until, differs, number = 0, None, 0
    last: bytes | None = None
    unpack, prefix, append, digest = PREFIX.unpack_from, PREFIX.size, tree.append, sha256
    for place, (_, kept, data) in enumerate(rows):
        own = digest(LEAF + data).digest()
        version, at, previous = unpack(data) if len(data) >= prefix else (0, UNREADABLE, b"")
        if at == number and previous == last and own == kept and version == VERSION:
            last = own
        else:
            runs.end(number, last or b"")
            # Of another version nothing can be said but that it is none of ours.
            row = Row(at, previous, own, kept if version == VERSION else None)
            number = runs.begin(row, place, number)
            # Behind a changed row a new run begins: by what is kept of it.
            last = own if own == row.kept else None
        append(own)
        number += 1
        while head is not None and place + 1 == head_size:
            if differs is None:
                if tree.root() == head.root and own == head.last_hash:
                    fits_until = head_size
                else:
                    differs = head
            head = next(heads, None)
            head_size = 0 if head is None else head.size
    runs.end(number, last or b"")
    return _Passed(runs.found, tree, fits_until, differs)


def _name(chain: str, passed: _Passed, signed: Sequence[Signed], tail: Tail | None) -> list[Finding]:
    hash_at = {one.size - 1: one.last_hash for one in signed}
    size = max((one.size for one in signed), default=0)
    if tail is not None:
        size = max(size, tail.size)
        hash_at.setdefault(tail.size - 1, tail.last_hash)
    namer = Namer(chain, chain_start(chain), hash_at, size)
    findings = namer.name(passed.runs)
    # What was found before a head explains that its root is another one.
    rows = [run.row for run in passed.runs if run.row or run.changed or run.first]
    first = min([*rows, *(one.first for one in findings)], default=passed.tree.size)
    if passed.differs is not None and passed.differs.size <= first:
        one = passed.differs
        anew = Finding(
            kind=EDITED, place=chain, first=passed.fits_until, last=one.size - 1,
            detail=f"the chain fits, but is not the one that head {one.number} was signed over",
        )  # fmt: skip
        findings.insert(0, anew)
    if not findings and tail is not None and tail.tree != passed.tree:
        end = tail.size - 1
        detail = "it is not the end of the chain as it was counted"
        findings.append(Finding(kind=EDITED, place=chain, first=end, last=end, detail=detail))
    return _few(findings)


def _few(findings: list[Finding]) -> list[Finding]:
    return findings[:MAX_FINDINGS]


def _by_chain(heads: Iterable[Head]) -> dict[str, list[Signed]]:
    """What heads say of each chain, by size, each size once where they agree."""
    found: dict[str, dict[tuple[int, bytes, bytes], Signed]] = {}
    for head in heads:
        for one in head.chains:
            said = Signed(one.size, one.root, one.last_hash, head.number)
            found.setdefault(one.chain, {}).setdefault((one.size, one.root, one.last_hash), said)
    return {
        chain: sorted(said.values(), key=lambda one: (one.size, one.number)) for chain, said in found.items()
    }


def _verified(line: bytes, check: CheckSignature, after_ms: int = 0) -> Head:
    """The head on a line. Raises HeadInvalid unless it is what we signed, after wall time `after_ms`."""
    claims, jws = parse_line(line)
    if check(jws, after_ms) != claims:
        raise HeadInvalid("a head says something else than what was signed")
    return parse_claims(claims)


def _verify_heads(
    reader: LedgerReader,
    lines: Sequence[bytes],
    check: CheckSignature,
    anchors: Sequence[tuple[Head, bytes]],
) -> tuple[list[Finding], list[Head]]:
    """What was done to the heads, and those that are ours as they stand."""
    heads: list[Head] = []
    number_of: dict[int, bytes] = {}

    def rows() -> Iterator[Row]:
        for line in lines:
            own = line_hash(line)
            try:
                head = _verified(line, check, heads[-1].at_ms if heads else 0)
            except HeadInvalid:
                yield Row(UNREADABLE, b"", own, None)
                continue
            heads.append(head)
            number_of[head.number] = own
            yield Row(head.number - 1, head.previous, own, own)

    runs = runs_of(rows())
    kept = reader.kept_head()
    known = {head.number: line_hash(line) for head, line in anchors}
    if kept is not None:
        known[kept.number] = line_hash(kept.line)
    namer = Namer(
        HEADS, FIRST_PREVIOUS, {number - 1: one for number, one in known.items()}, max(known, default=0),
        counted=kept is not None, base=1,
    )  # fmt: skip
    findings = namer.name(runs)
    if not findings:
        findings += [
            Finding(
                kind=EDITED, place=HEADS, first=number, last=number,
                detail="it is another one than was kept elsewhere",
            )
            for number, one in sorted(known.items())
            if number_of.get(number) != one
        ]  # fmt: skip
    return _few(findings), heads
