"""Ids that were taken, in the memory of one process: for tests, and as the twin of the store in a file."""

from gateway.sealing.inbound import TokenRefused


class MemorySeenIds:
    """Implements `SeenIds`. `began_ms` 0: nothing was taken before."""

    def __init__(self, began_ms: int = 0) -> None:
        self.began_ms = began_ms
        self._by_party: dict[str, dict[str, int]] = {}

    def take(self, party: str, jti: str, *, until_ms: int, now_ms: int, most: int) -> None:
        seen = self._by_party.setdefault(party, {})
        for one in [name for name, ends_ms in seen.items() if ends_ms <= now_ms]:
            del seen[one]
        if jti in seen:
            raise TokenRefused("replay")
        if len(seen) >= most:
            raise TokenRefused("busy")
        seen[jti] = until_ms
