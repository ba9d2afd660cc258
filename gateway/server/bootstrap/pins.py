"""The thumbprints that recipients' keys are held to, asked when a key file has changed."""

from collections.abc import Callable

from gateway.backends.embedded.enrolments import SqliteEnrolments
from gateway.records.errors import GatewayError
from gateway.runtime.clock import Clock
from gateway.sealing.keys import BadKey
from gateway.server.enrolment.desk import check_pins
from gateway.server.state import StateDir


def pin_check(state: StateDir, clock: Clock) -> Callable[[str, str], None]:
    """What raises BadKey where a key was not approved, and where that cannot be found out."""
    path = str(state.policy_db)

    def check(recipient_id: str, document: str) -> None:
        try:
            # Opened each time: a file changes a few times a year, and threads share no connection.
            store = SqliteEnrolments(path, clock)
            try:
                check_pins(store.pinned, recipient_id, document)
            finally:
                store.close()
        except BadKey:
            raise
        except GatewayError:
            raise BadKey("whether the recipient's keys are approved cannot be read now") from None

    return check
