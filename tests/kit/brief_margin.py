"""`ein feeds` as it is, but that our keys are retired moments after their last use.

    python -m tests.kit.brief_margin gateway.server.cli.main feeds --config FILE MARGIN_MS

For checks in which keys have to go: settings take no margin under eleven minutes.
"""

import sys
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

from gateway.backends.embedded.keyfiles import KeyFiles
from gateway.runtime.clock import Clock
from gateway.server.feeds.process import run
from gateway.server.settings import Settings, load_settings
from gateway.server.supervisor import Supervisor
from gateway.server.verbs.keys import KeyDesk


def make_margin_brief(supervisor: Supervisor, margin_ms: int) -> None:
    """Has the supervisor start its feeds in this way."""
    child = supervisor.children["feeds"]
    argv = list(child.argv)
    # With the name that it stands in for: by that a kill knows a process that it may end.
    child.argv = [argv[0], "-m", "tests.kit.brief_margin", *argv[2:], str(margin_ms)]


def _make_brief(margin_ms: int) -> None:
    whole = KeyDesk.of

    def brief(settings: Settings, files: KeyFiles, clock: Clock) -> KeyDesk:
        return replace(whole(settings, files, clock), margin_ms=margin_ms)

    patch.object(KeyDesk, "of", brief).start()


if __name__ == "__main__":
    _make_brief(int(sys.argv[5]))
    sys.exit(run(load_settings(Path(sys.argv[4]))))
