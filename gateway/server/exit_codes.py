"""Exit codes of `ein`: 0 and 1 by custom, the others as in sysexits.h. docs/operating.md says what to do."""

DONE = 0
CHECK_FAILED = 1
USAGE = 64
FAULT = 70
CONFIG = 78
INTERRUPTED = 130
