"""`ein gateway` as it is, but that what it shares can be looked up for seconds, not for half an hour.

    python -m tests.kit.brief_lookups gateway.server.cli.main gateway --config FILE

For checks in which something has to wait until look-ups are over.
"""

import sys
from pathlib import Path
from typing import Final

from gateway.server.gateway.process import run
from gateway.server.settings import load_settings
from gateway.server.supervisor import Supervisor
from gateway.sharing import gateway

LOOKED_UP_FOR_MS: Final = 3_000


def make_lookups_brief(supervisor: Supervisor) -> None:
    """Has the supervisor start its gateway in this way."""
    child = supervisor.children["gateway"]
    argv = list(child.argv)
    # With the name that it stands in for: by that a kill knows a process that it may end.
    child.argv = [argv[0], "-m", "tests.kit.brief_lookups", *argv[2:]]


if __name__ == "__main__":
    gateway.EXPIRES_AFTER_MS = LOOKED_UP_FOR_MS  # type: ignore[attr-defined]
    sys.exit(run(load_settings(Path(sys.argv[4]))))
