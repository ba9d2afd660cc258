"""What recipients of the sample policy read of what a kit released."""

import json
from collections.abc import Iterator
from typing import Any

from joserfc import jwe
from joserfc.jwk import ECKey

from issuernetwork.storage.v1 import journal_pb2 as storage
from tests.unit.sharing.kit import RELEASED, Kit, sample_pairs


def released(kit: Kit) -> Iterator[tuple[storage.Evaluation, storage.Decision, dict[str, Any]]]:
    """Record, decision and opened body of each share, in order."""
    for record in kit.journal.records():
        for decision in record.decisions:
            if decision.outcome == RELEASED:
                private = ECKey.import_key(sample_pairs()[decision.recipient_id][1])
                opened = jwe.decrypt_compact(
                    decision.sealed.decode(), private, algorithms=["ECDH-ES+A256KW", "A256GCM"]
                )
                yield record, decision, json.loads(opened.plaintext or b"")
