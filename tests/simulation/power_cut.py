"""A model of the journal's promise, run against it over simulated power cuts, crashes and failing disks.

After every recovery: each acknowledged record is there, at its position and in order, with no hole before it;
what was reported JournalUnavailable is not there; what was reported JournalUndetermined, or was in flight,
may be there, and once a reader has seen it, it stays.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random

from gateway.backends.embedded.journal import FileJournalReader, FileJournalWriter
from gateway.records.journal import FIRST, JournalCorrupt, JournalUnavailable, JournalUndetermined
from gateway.runtime.clock import SimClock
from gateway.runtime.disk import DiskFile
from gateway.runtime.simdisk import Faults, PowerCut, SimDisk

DIRECTORY = "/journal"
TOPICS = ("evaluations", "outcomes")
LIVES = 4
STEPS = 40
WHOLE = 1_000_000
CUT_CHANCE = 0.7
KEEP_MS = 60_000
SEGMENT_MS = 20_000
FAILURES_SHOWN = 10

MET = (
    "cuts", "crashes", "acknowledged", "undetermined", "unavailable", "recovered", "unlinked", "spares",
)  # fmt: skip
"""What a run counts, and must have met, or the model is too tame to show anything."""


class Broken(Exception):
    """The journal broke its promise; the text is the kind of breach."""


class UnsafeNoSyncDisk(SimDisk):
    """A disk whose appends are never synced (new segments are): what the check must be able to find."""

    def open_at(self, path: str, offset: int) -> DiskFile:
        file: DiskFile = super().open_at(path, offset)
        return file if path.endswith(".new") else _NoSyncFile(file)

    def power_cut(self) -> SimDisk:
        after = super().power_cut()
        after.__class__ = UnsafeNoSyncDisk
        return after


class _NoSyncFile:
    def __init__(self, file: DiskFile) -> None:
        self._file = file
        self.write, self.truncate, self.close = file.write, file.truncate, file.close

    def sync(self) -> None:
        pass


@dataclass
class _Topic:
    """What the model knows of one topic. Retention may have taken what lies before `oldest`, no more."""

    promised: dict[int, bytes] = field(default_factory=dict)
    written_ms: dict[int, int] = field(default_factory=dict)
    possible: set[bytes] = field(default_factory=set)
    refused: set[bytes] = field(default_factory=set)
    oldest: int = 0

    @property
    def end(self) -> int:
        return max(self.promised, default=FIRST)

    def promise(self, position: int, payload: bytes, now_ms: int) -> None:
        self.promised[position] = payload
        self.written_ms[position] = now_ms

    def age(self, oldest_ms: int) -> None:
        """Retention may take what was written up to `oldest_ms`."""
        old = (position for position, at_ms in self.written_ms.items() if at_ms <= oldest_ms)
        self.oldest = max(self.oldest, max(old, default=FIRST) + 1)


@dataclass
class _Model:
    random: Random
    clock: SimClock
    counts: dict[str, int]
    topics: dict[str, _Topic] = field(default_factory=lambda: {name: _Topic() for name in TOPICS})
    payloads: int = 0

    def batch(self) -> list[bytes]:
        batch = []
        for _ in range(self.random.choice((1, 1, 2, 3, 8))):
            self.payloads += 1
            size = self.random.choice((0, 5, 60, 300, 500, 900, 3000))
            batch.append(b"%d:" % self.payloads + self.random.randbytes(size))
        return batch


def run(seeds: Iterable[int], *, sync: bool = True) -> dict[str, object]:
    """Counts over all seeds, JSON-able; `failures` names seeds and breaches, `failed` how many there are."""
    counts = dict.fromkeys(("seeds", *MET), 0)
    failures: list[dict[str, object]] = []
    for seed in seeds:
        counts["seeds"] += 1
        try:
            _run_seed(seed, counts, sync=sync)
        except (Broken, JournalCorrupt) as breach:
            failures.append({"seed": seed, "breach": f"{type(breach).__name__}: {breach}"})
    return {**counts, "failed": len(failures), "failures": failures[:FAILURES_SHOWN]}


def _run_seed(seed: int, counts: dict[str, int], *, sync: bool) -> None:
    random = Random(seed)
    clock = SimClock()
    disk: SimDisk = SimDisk(seed) if sync else UnsafeNoSyncDisk(seed)
    model = _Model(random, clock, counts)
    for _ in range(LIVES):
        disk.cut_after(random.choice((random.randrange(12), random.randrange(60), 400)))
        with suppress(PowerCut):
            _live(disk, model)
        disk.faults = Faults()
        if random.random() < CUT_CHANCE:
            disk = disk.power_cut()
            counts["cuts"] += 1
        else:
            # The process alone dies, so that what it left in the page cache meets a later cut.
            disk.crash()
            counts["crashes"] += 1
        clock.advance_ms(random.randrange(10_000))
        disk = _recover(disk, model)


def _faults(random: Random) -> Faults:
    rate = random.choice((0.0, 0.02, 0.1, 0.3))
    names = ("open", "write", "truncate", "sync", "sync_dir", "publish", "unlink")
    return Faults(**{name: rate for name in names if random.random() < 0.5})


def _live(disk: SimDisk, model: _Model) -> None:
    """One life of a writer process, with a reader beside it, until it ends or the power goes."""
    random = model.random
    if random.random() < 0.3:
        disk.faults = _faults(random)
    segment_bytes = random.choice((600, 4000, 20_000))
    try:
        writer = FileJournalWriter(
            disk, model.clock, DIRECTORY, TOPICS, segment_bytes=segment_bytes, segment_ms=SEGMENT_MS,
            filled=random.choice(({}, dict.fromkeys(TOPICS, 100), {TOPICS[0]: 3000})),
        )  # fmt: skip
    except JournalUnavailable:
        return
    disk.faults = _faults(random)
    reader = FileJournalReader(disk, DIRECTORY, chunk_bytes=random.choice((64, 700, 5000)))
    for name in TOPICS:
        _absorb(model, name, writer.end(name), reader)
    for _ in range(random.randrange(STEPS)):
        name = random.choice(TOPICS)
        draw = random.random()
        if draw < 0.68:
            _append(writer, name, model)
        elif draw < 0.75:
            model.counts["spares"] += writer.prepare(name)
        elif draw < 0.85:
            _retain(writer, model)
        else:
            _check(model, name, reader, whole=random.random() < 0.3)


def _append(writer: FileJournalWriter, name: str, model: _Model) -> None:
    topic = model.topics[name]
    batch = model.batch()
    try:
        positions = writer.append(name, batch)
    except JournalUnavailable:
        topic.refused.update(batch)
        model.counts["unavailable"] += 1
        return
    except JournalUndetermined:
        topic.possible.update(batch)
        model.counts["undetermined"] += 1
        return
    except PowerCut:
        topic.possible.update(batch)
        raise
    expected = topic.end + 1
    if positions != list(range(expected, expected + len(batch))):
        raise Broken("positions do not rise by one")
    for position, payload in zip(positions, batch, strict=True):
        topic.promise(position, payload, model.clock.wall_ms())
    model.counts["acknowledged"] += len(batch)


def _retain(writer: FileJournalWriter, model: _Model) -> None:
    model.clock.advance_ms(model.random.randrange(2 * KEEP_MS))
    for topic in model.topics.values():
        topic.age(model.clock.wall_ms() - KEEP_MS)
    with suppress(JournalUnavailable):
        model.counts["unlinked"] += writer.retain(KEEP_MS)


def _absorb(model: _Model, name: str, end: int, reader: FileJournalReader) -> None:
    """Takes what recovery kept of the possible into the promise: from now on readers see it."""
    topic = model.topics[name]
    if end < topic.end:
        raise Broken("an acknowledged record is lost")
    for entry in reader.read(name, topic.end, WHOLE):
        if entry.payload in topic.refused:
            raise Broken("a refused record came back")
        if entry.payload not in topic.possible:
            raise Broken("a record that nobody wrote, or one twice")
        topic.possible.discard(entry.payload)
        topic.promise(entry.position, entry.payload, model.clock.wall_ms())
        model.counts["recovered"] += 1


def _check(model: _Model, name: str, reader: FileJournalReader, *, whole: bool) -> None:
    """A reader sees the promise and nothing else. `whole`: from the oldest kept up to the very end."""
    topic = model.topics[name]
    after = FIRST if whole else model.random.randint(FIRST, topic.end)
    entries = reader.read(name, after, WHOLE if whole else model.random.choice((1, 3, 50)))
    if entries and entries[0].position > max(after + 1, topic.oldest):
        raise Broken("an acknowledged record is lost")
    for before, entry in pairwise(entries):
        if entry.position != before.position + 1:
            raise Broken("a hole between records")
    for entry in entries:
        if topic.promised.get(entry.position) != entry.payload:
            raise Broken("a reader saw what is not durable, or not what was recorded")


def _recover(disk: SimDisk, model: _Model) -> SimDisk:
    """Opens without faults, through further cuts while it opens, and checks the whole promise."""
    while model.random.random() < 0.3:
        disk.cut_after(model.random.randrange(12))
        with suppress(PowerCut):
            FileJournalWriter(disk, model.clock, DIRECTORY, TOPICS).close()
        disk = disk.power_cut()
        model.counts["cuts"] += 1
    writer = FileJournalWriter(disk, model.clock, DIRECTORY, TOPICS)
    reader = FileJournalReader(disk, DIRECTORY)
    for name, topic in model.topics.items():
        _absorb(model, name, writer.end(name), reader)
        _check(model, name, reader, whole=True)
        entries = reader.read(name, FIRST, WHOLE)
        if topic.end >= topic.oldest and not entries:
            raise Broken("an acknowledged record is lost")
        if entries and entries[-1].position != topic.end:
            raise Broken("the end is not where it was promised")
    writer.close()
    return disk
