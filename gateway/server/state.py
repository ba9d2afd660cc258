"""Where each process keeps what: the layout of the state directory."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict


class Addresses(TypedDict, total=False):
    """What a ready process listens on. Absent: it has no such port."""

    pid: int
    grpc: str
    http: str
    metrics: str


@dataclass(frozen=True, slots=True)
class StateDir:
    """Each process is the only writer of its own folder; everyone may read everyone's."""

    root: Path

    @property
    def policy_db(self) -> Path:
        return self.root / "policy.sqlite3"

    @property
    def consents_db(self) -> Path:
        return self.root / "consents.sqlite3"

    @property
    def identities(self) -> Path:
        return self.root / "identities.json"

    @property
    def operators(self) -> Path:
        return self.root / "operators.json"

    @property
    def clients(self) -> Path:
        return self.root / "clients.json"

    @property
    def seen_ids(self) -> Path:
        """Ids of tokens that were taken, for minutes. Any process writes it."""
        return self.root / "seen.sqlite3"

    @property
    def restored(self) -> Path:
        """Only in what was put in place by a restore: which one it was."""
        return self.root / "restored.json"

    @property
    def leases(self) -> Path:
        return self.root / "leases"

    @property
    def keys(self) -> Path:
        return self.root / "keys"

    @property
    def gateway_journal(self) -> Path:
        return self.root / "gateway" / "journal"

    @property
    def velocity_snapshot(self) -> Path:
        return self.root / "gateway" / "velocity.snapshot"

    @property
    def provider_memory(self) -> Path:
        return self.root / "gateway" / "providers.memory"

    @property
    def feeds_journal(self) -> Path:
        return self.root / "feeds" / "journal"

    @property
    def feeds_db(self) -> Path:
        return self.root / "feeds" / "feeds.sqlite3"

    @property
    def ledger_db(self) -> Path:
        return self.root / "ledger" / "ledger.sqlite3"

    @property
    def ledger_heads(self) -> Path:
        return self.root / "ledger" / "heads.jsonl"

    @property
    def lake(self) -> Path:
        return self.root / "measure" / "lake"

    @property
    def measure_db(self) -> Path:
        return self.root / "measure" / "measure.sqlite3"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    def restored_at_ms(self) -> int:
        """When this directory was last restored from a backup; 0 where it never was."""
        try:
            return int(json.loads(self.restored.read_text())["restored_at_ms"])
        except FileNotFoundError:
            return 0

    def make(self) -> None:
        """Makes the folders, readable by their owner alone."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (
            self.leases,
            self.keys,
            self.gateway_journal.parent,
            self.gateway_journal,
            self.feeds_journal.parent,
            self.feeds_journal,
            self.ledger_db.parent,
            self.measure_db.parent,
            self.lake,
            self.run,
            self.logs,
        ):
            folder.mkdir(mode=0o700, exist_ok=True)

    def write_ready(self, process: str, addresses: Addresses) -> None:
        """Says that `process` is ready, and where. Atomic: a reader never sees half of it."""
        target = self.run / f"{process}.json"
        temporary = self.run / f"{process}.json.new"
        temporary.write_text(json.dumps({"pid": os.getpid(), **addresses}))
        temporary.rename(target)

    def clear_ready(self, process: str) -> None:
        (self.run / f"{process}.json").unlink(missing_ok=True)

    def read_ready(self, process: str) -> Addresses | None:
        """Where `process` listens; None while it is not ready."""
        try:
            found: Addresses = json.loads((self.run / f"{process}.json").read_text())
        except FileNotFoundError:
            return None
        return found
