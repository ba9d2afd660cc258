"""Exit codes of `ein`: 0 and 1 by custom, the others as in sysexits.h. docs/operating.md says what to do."""

from gateway.records.errors import GatewayError

DONE = 0
CHECK_FAILED = 1
USAGE = 64
FAULT = 70
CONFIG = 78
INTERRUPTED = 130

_OF_SETTINGS = frozenset(
    (
        "account_input_invalid",
        "bad_key",
        "identity_invalid",
        "key_files",
        "key_store_settings",
        "lake_missing",
        "no_policy",
        "no_such_snapshot",
        "policy_invalid",
        "policy_moved",
        "rollback_refused",
        "settings_invalid",
        "simulation_failed",
        "switch_refused",
        "truth_invalid",
    )
)
"""Machine codes of errors that starting again does not mend: somebody has to change a file."""


def of(refused: GatewayError) -> int:
    """What a process ends with that `refused` kept from running."""
    return CONFIG if refused.code in _OF_SETTINGS else FAULT
