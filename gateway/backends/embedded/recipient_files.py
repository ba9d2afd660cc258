"""Recipients' keys in files: public JWK Sets that may change at any time."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gateway.backends.embedded.private_files import FILE_BYTES_MAX, Mark, mark_in, replace_private
from gateway.runtime.clock import MS, Clock
from gateway.sealing import jwk
from gateway.sealing.keys import BadKey, KeyUnavailable, RecipientKey, StaticRecipientKeys

RECIPIENTS_DIR = "recipients"

RECIPIENTS_LOOK_EVERY_MS = 500
"""How long a changed recipient's key may go unseen."""


def recipients_with_keys(directory: str | Path) -> list[str]:
    """Ids of all recipients that ever had keys here, in order."""
    suffix = ".jwks.json"
    found = (Path(directory) / RECIPIENTS_DIR).glob(f"*{suffix}")
    return sorted(path.name.removesuffix(suffix) for path in found)


def publish_recipient_keys(directory: str | Path, recipient_id: str, jwks: str) -> None:
    """Puts a recipient's public JWK Set in place, atomically, after checking it. Raises BadKey."""
    if not jwk.recipient_keys(recipient_id, jwks):
        raise BadKey("the recipient's JWK Set holds no key with use enc")
    path = recipient_path(Path(directory), recipient_id)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace_private(path, jwks.encode())


class FileRecipientKeys:
    """Recipients' keys from keys/recipients/<recipient_id>.jwks.json, read again when the file changes.

    Implements `keys.RecipientKeys`. A file that is absent, damaged or out of date is KeyUnavailable: a key
    that was withdrawn is used no longer than RECIPIENTS_LOOK_EVERY_MS.
    """

    __slots__ = ("_check", "_clock", "_directory", "_held")

    def __init__(
        self,
        directory: str | Path,
        clock: Clock,
        check: Callable[[str, str], None] = lambda name, text: None,
    ) -> None:
        """`check` is given a recipient and its document; it raises BadKey where a key is not approved."""
        self._directory = Path(directory)
        self._clock = clock
        self._check = check
        self._held: dict[str, _Held] = {}

    def current(self, recipient_id: str, *, now_ms: int) -> RecipientKey:
        held = self._held.get(recipient_id)
        now_ns = self._clock.monotonic_ns()
        if held is None or now_ns >= held.look_again_ns:
            held = self._look(recipient_id, held, now_ns)
        return held.keys.current(recipient_id, now_ms=now_ms)

    def _look(self, recipient_id: str, held: "_Held | None", now_ns: int) -> "_Held":
        path = recipient_path(self._directory, recipient_id)
        again_ns = now_ns + RECIPIENTS_LOOK_EVERY_MS * MS
        try:
            status = path.stat()
            mark = mark_in(status)
            if held is not None and held.mark == mark:
                held.look_again_ns = again_ns
                return held
            if status.st_size > FILE_BYTES_MAX:
                raise BadKey("the recipient's JWK Set is too large")
            text = path.read_text()
            keys = jwk.recipient_keys(recipient_id, text)
            self._check(recipient_id, text)
        except FileNotFoundError:
            mark, keys = None, ()
        except (OSError, ValueError, BadKey) as fault:
            # No key until it is mended; the last good one may be the one that was withdrawn.
            self._held[recipient_id] = _Held(None, StaticRecipientKeys(()), again_ns)
            raise KeyUnavailable(recipient_id) from fault
        if len(self._held) >= _HELD_MAX:
            self._held.pop(next(iter(self._held)))
        found = _Held(mark=mark, keys=StaticRecipientKeys(keys), look_again_ns=again_ns)
        self._held[recipient_id] = found
        return found


# Recipients known to one policy number hundreds.
_HELD_MAX = 4096


@dataclass(slots=True)
class _Held:
    mark: Mark | None
    keys: StaticRecipientKeys
    look_again_ns: int


def recipient_path(base: Path, recipient_id: str) -> Path:
    """Where a recipient's JWK Set is. Raises KeyUnavailable for what is no id."""
    # The id becomes a file name: nothing that leaves the directory.
    plain = recipient_id.replace("-", "").replace("_", "")
    if not plain.isascii() or not plain.isalnum() or len(recipient_id) > 128:
        raise KeyUnavailable(recipient_id)
    return base / RECIPIENTS_DIR / f"{recipient_id}.jwks.json"
