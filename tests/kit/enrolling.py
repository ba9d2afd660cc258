"""An enrolment without HTTP: an issuer's keys, and the desk over stores of its own."""

import secrets
import time
from pathlib import Path
from typing import Any

from gateway.backends.embedded.approvals import SqliteApprovals
from gateway.backends.embedded.enrolments import SqliteEnrolments
from gateway.backends.embedded.recipient_files import FileRecipientKeys
from gateway.runtime.clock import SystemClock
from gateway.runtime.entropy import SystemEntropy
from gateway.sealing.keys import KeyUnavailable
from gateway.server.bootstrap.pins import pin_check
from gateway.server.enrolment.desk import Asking, EnrolmentDesk, carry_out, check_enrolment
from gateway.server.enrolment.submitted import PROOF_TYPE
from gateway.server.secret_words import make_secret
from gateway.server.state import StateDir
from issuernetwork._jose import JweOpener, json_object, open_key
from issuernetwork.enrolment import public_set
from issuernetwork.issuer_cli import new_key, new_signing_key
from issuernetwork.tokens import SignKey, sign_key
from tests.kit.seen_ids import MemorySeenIds

ISS, BANK, WEEK_MS = "https://issuernetwork.test", "northgate-bank", 7 * 24 * 3_600_000


class Later:
    """A clock that can be set on."""

    def __init__(self) -> None:
        self.added_ms = 0

    def wall_ms(self) -> int:
        return SystemClock().wall_ms() + self.added_ms

    def monotonic_ns(self) -> int:
        return time.monotonic_ns() + self.added_ms * 1_000_000


class Keys:
    """An issuer's keys: one to open with, one to sign with."""

    def __init__(self, name: str, **members: Any) -> None:
        self.sealing, _ = new_key(f"{name}-enc")
        signing, _ = new_signing_key(f"{name}-sig")
        self.sealing.update(members)
        self.signing: SignKey = sign_key(signing)
        self.jwks = public_set([self.sealing, signing])

    def opened(self, challenge: str) -> dict[str, Any]:
        key = open_key(self.sealing)
        return json_object(JweOpener({key.kid: key}).open(challenge.encode()))

    def claims(self, told: dict[str, Any]) -> dict[str, Any]:
        return {
            "iss": BANK, "aud": ISS, "iat": int(time.time()), "submission_id": told["submission_id"],
            "thumbprints": told["thumbprints"], "nonce": self.opened(told["challenge"])["nonce"],
            "jti": secrets.token_hex(8),
        }  # fmt: skip


class Rig:
    def __init__(self, folder: Path) -> None:
        self.state, self.clock = StateDir(folder), Later()
        self.state.make()
        path = str(self.state.policy_db)
        self.enrolments = SqliteEnrolments(path, self.clock)
        self.approvals = SqliteApprovals(path, self.clock)
        self.desk = EnrolmentDesk(
            self.enrolments, self.approvals, issuer=ISS, clock=self.clock, entropy=SystemEntropy(),
            seen=MemorySeenIds(),
        )  # fmt: skip

    def close(self) -> None:
        self.enrolments.close()
        self.approvals.close()

    def invite(self, recipient_id: str = BANK) -> str:
        token, digest = make_secret(SystemEntropy())
        self.enrolments.invite(recipient_id, digest, by="ada", reason="contract", life_ms=WEEK_MS)
        return token

    def asking(self, token: str = "") -> Asking:
        found = self.desk.asking(None, token or self.invite())
        assert found is not None
        return found

    def prove(
        self, asking: Asking, keys: Keys, told: dict[str, Any], *, under: Keys | None = None, **changes: Any
    ) -> Any:
        signing = [keys.signing, *([under.signing] if under else [])]
        proofs = [key.sign(PROOF_TYPE, {**keys.claims(told), **changes}) for key in signing]
        return self.desk.prove(asking, told["submission_id"], proofs)

    def proven(self, keys: Keys, asking: Asking | None = None, under: Keys | None = None) -> dict[str, Any]:
        who = asking or self.asking()
        told = self.desk.submit(who, {"jwks": keys.jwks})
        found: dict[str, Any] = self.prove(who, keys, told, under=under)
        return found

    def in_force(self, keys: Keys, asking: Asking | None = None, under: Keys | None = None) -> int:
        number = int(self.proven(keys, asking, under)["submission_id"])
        asked = self.approvals.all()[-1]
        check_enrolment(self.state, self.clock, asked)
        carry_out(self.state, self.clock, asked, by="bo")
        return number

    def usable(self) -> str:
        """The kid that would be sealed to; empty for none."""
        keys = FileRecipientKeys(self.state.keys, self.clock, pin_check(self.state, self.clock))
        try:
            return keys.current(BANK, now_ms=self.clock.wall_ms()).kid
        except KeyUnavailable:
            return ""
