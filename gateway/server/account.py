"""Reads the sender's list, the journals and the receivers' logs into a conservation account."""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from gateway.backends.embedded.journal import FileJournalReader
from gateway.outcomes.conservation import Account, AccountResult
from gateway.records.errors import GatewayError
from gateway.records.journal import DELIVERIES, EVALUATIONS, FIRST, LABELS, Entry
from gateway.runtime.disk import RealDisk
from gateway.server.state import StateDir
from issuernetwork.storage.v1 import journal_pb2 as storage

READ_MAX_RECORDS = 1024
"""Records of one read: some megabytes at the usual record size."""


class AccountInputInvalid(GatewayError):
    """A list or log cannot be read; the text names file and line."""

    code = "account_input_invalid"


def entries(directory: Path, topic: str) -> Iterator[Entry]:
    """All records kept of a topic, oldest first."""
    reader = FileJournalReader(RealDisk(), str(directory))
    after = FIRST
    while batch := reader.read(topic, after, READ_MAX_RECORDS):
        yield from batch
        after = batch[-1].position


def _feed_lines(path: Path, take: Callable[[dict[str, Any]], None]) -> None:
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            if not raw.endswith(b"\n"):
                # The process that wrote it was killed in mid-line: it acted on nothing that this line says.
                return
            try:
                take(json.loads(raw))
            except (ValueError, KeyError, TypeError):
                raise AccountInputInvalid(f"{path.name}, line {number}: not a line of this log") from None


def build_account(
    state: StateDir, *, sender_lists: Iterable[Path], receiver_logs: Iterable[Path]
) -> AccountResult:
    """The account of all that the journals still keep. Raises AccountInputInvalid, JournalCorrupt."""
    account = Account()
    for path in sender_lists:
        _feed_lines(path, account.sender)
    for entry in entries(state.gateway_journal, EVALUATIONS):
        account.evaluation(storage.Evaluation.FromString(entry.payload))
    for entry in entries(state.feeds_journal, LABELS):
        account.label(storage.LabelRecord.FromString(entry.payload))
    for entry in entries(state.feeds_journal, DELIVERIES):
        account.delivery(storage.DeliveryRecord.FromString(entry.payload))
    for path in receiver_logs:
        _feed_lines(path, account.receiver)
    return account.result()
