"""What of a state directory is kept, in the order in which it is copied, and what never is."""

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from gateway.records.errors import GatewayError

FORMAT: Final = 1
"""Of the archive. Another one is refused."""

MANIFEST_NAME: Final = "manifest.json"
PASSPHRASE_NAME: Final = "keys/passphrase"  # noqa: S105 - the name of the file


class BackupRefused(GatewayError):
    """What runs cannot be copied, or not to this file."""

    code = "backup_refused"


class RestoreRefused(GatewayError):
    """The archive or the place to restore to cannot be used. Nothing was put in place."""

    code = "restore_refused"


class Kind(Enum):
    """How a part is copied beside the process that writes it."""

    FILE = "replaced whole by its writer"
    DATABASE = "SQLite, through its own backup"
    LAKE = "SQLite, with the files that it names"
    JOURNAL = "segments up to the commit mark"
    KEYS = "keys, without the passphrase unless asked for"


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that is kept: its path below the state directory."""

    path: str
    kind: Kind


# Effects before causes: what is copied later knows at least what the earlier parts speak of. A reader's
# offset is never ahead of the journal that it reads, a delivery never without its evaluation, and a kill
# given while the copy is made is in it.
PARTS: Final = (
    # The heads first: the ledger hands over the one that they lack, and takes more than it knows for forgery.
    Part("ledger/heads.jsonl", Kind.FILE),
    Part("ledger/ledger.sqlite3", Kind.DATABASE),
    Part("gateway/velocity.snapshot", Kind.FILE),
    Part("gateway/providers.memory", Kind.FILE),
    Part("measure/measure.sqlite3", Kind.LAKE),
    Part("feeds/feeds.sqlite3", Kind.DATABASE),
    Part("feeds/journal", Kind.JOURNAL),
    Part("gateway/journal", Kind.JOURNAL),
    Part("keys", Kind.KEYS),
    Part("identities.json", Kind.FILE),
    Part("operators.json", Kind.FILE),
    Part("clients.json", Kind.FILE),
    Part("consents.sqlite3", Kind.DATABASE),
    Part("policy.sqlite3", Kind.DATABASE),
)

LAKE_PATH: Final = "measure/lake"

NEVER: Final = frozenset(("run", "leases", "logs", "seen.sqlite3"))
"""Of this machine's processes as they run; what follows them starts anew."""

_KEPT: Final = (
    re.compile(r"(policy|consents|feeds/feeds|ledger/ledger|measure/measure)\.sqlite3"),
    re.compile(r"ledger/heads\.jsonl"),
    re.compile(r"(identities|operators|clients)\.json"),
    re.compile(r"gateway/(velocity\.snapshot|providers\.memory)"),
    re.compile(r"(gateway|feeds)/journal/[a-z]+(\.[0-9]{1,7})?/(commit|[0-9]{20}\.journal)"),
    re.compile(r"measure/lake/[A-Za-z0-9_.-]{1,128}\.parquet"),
    re.compile(r"keys/(own\.json|passphrase|recipients/[A-Za-z0-9_-]{1,128}\.jwks\.json)"),
)


def is_kept(name: str) -> bool:
    """Whether an archive may hold a file of this name: nothing else is ever written by a restore."""
    return any(pattern.fullmatch(name) for pattern in _KEPT)
