"""Our signing keys over time: published ahead, used, superseded, retired. Private halves are elsewhere.

What a key is at a time follows from `use_from_ms` alone. So every process that has read the same ring changes
over at the same time, and none needs to hear of another.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from gateway.sealing.jwk import jwk_set
from gateway.sealing.keys import KeyRefused, SignatureAlgorithm

IN_FILE: Final = ""
"""Name of the store whose private halves stand in our own file."""

RING_KEYS_MAX: Final = 32
"""Published at once: receivers take no larger JWK Set (issuernetwork/_jose.py)."""

REGULAR_KEYS_MAX: Final = RING_KEYS_MAX - 4
"""A regular rotation leaves room for one at once of each of our four algorithms: a theft does not wait."""

AHEAD_MAX_MS: Final = 90 * 24 * 3_600_000
"""A key that waits a quarter is forgotten, and as old as one that is due."""

AT_ONCE_MS: Final = 5_000
"""Until every process of ours has a new key: each has looked at the file five times by then. What a key is
ahead counts from there, and "at once" is this alone.
"""

PLAN_MS_MAX: Final = 2_000
"""From when a key's time is planned until it is in the file: the rest of AT_ONCE_MS is for three looks."""


class KeyState(StrEnum):
    """What a signing key is at a time."""

    PUBLISHED = "published"
    """In the JWK Set, not used yet."""
    IN_USE = "in_use"
    SUPERSEDED = "superseded"
    """In the JWK Set, not used any more."""
    RETIRED = "retired"
    """Out of the JWK Set; the public half is kept for old heads of the ledger and certificates."""


@dataclass(frozen=True, slots=True)
class RingKey:
    """A key of the JWK Set. `public` is its JWK; `store` says where the private half is."""

    kid: str
    alg: SignatureAlgorithm
    public: Mapping[str, str]
    made_at_ms: int
    use_from_ms: int
    store: str = IN_FILE


@dataclass(frozen=True, slots=True)
class RetiredKey:
    """A key that signs nothing any more. `store` names where its private half has yet to be ended."""

    kid: str
    public: Mapping[str, str]
    retired_at_ms: int
    store: str = IN_FILE
    after_head: int = 0
    """Number of the ledger's newest head by then. Its time does not do where a clock was ahead."""


class Wait(StrEnum):
    """What holds up a retirement."""

    IN_USE = "in_use"
    NOT_USED_YET = "not_used_yet"
    OPEN_TOKENS = "open_tokens"
    MARGIN = "margin"


@dataclass(frozen=True, slots=True)
class Hold:
    """One thing that a retirement waits for: `count` open tokens, or wall time `until_ms`."""

    wait: Wait
    count: int = 0
    until_ms: int = 0


@dataclass(frozen=True, slots=True)
class KeyUse:
    """Tokens by a key that recipients may still get, and when there was last seen to be one; 0 for never."""

    open_tokens: int = 0
    last_open_ms: int = 0


NOT_USED: Final = KeyUse()


@dataclass(frozen=True, slots=True)
class KeyRing:
    """All signing keys, in the order in which they were made."""

    keys: tuple[RingKey, ...]
    retired: tuple[RetiredKey, ...] = field(default=())

    def of(self, alg: SignatureAlgorithm) -> tuple[RingKey, ...]:
        """Keys of an algorithm in the order of their use; of two at one time the later made is the later."""
        return tuple(sorted((key for key in self.keys if key.alg is alg), key=lambda key: key.use_from_ms))

    @property
    def algorithms(self) -> frozenset[SignatureAlgorithm]:
        return frozenset(key.alg for key in self.keys)

    def in_use(self, alg: SignatureAlgorithm, now_ms: int) -> RingKey | None:
        """What signs at wall time `now_ms`; None where there is no key of the algorithm."""
        keys = self.of(alg)
        come = [key for key in keys if key.use_from_ms <= now_ms]
        # A clock set back before all of them: the one that was first signs, since it is published.
        return come[-1] if come else next(iter(keys), None)

    def key(self, kid: str) -> RingKey:
        """Raises KeyRefused where the JWK Set has none of this id."""
        found = next((key for key in self.keys if key.kid == kid), None)
        if found is None:
            known = any(key.kid == kid for key in self.retired)
            raise KeyRefused(
                "kid: the key is retired already"
                if known
                else "kid: no key of ours; `ein keys list` names them"
            )
        return found

    def state(self, key: RingKey, now_ms: int) -> KeyState:
        used = self.in_use(key.alg, now_ms)
        if used is key:
            return KeyState.IN_USE
        return KeyState.PUBLISHED if key.use_from_ms > now_ms else KeyState.SUPERSEDED

    def superseded_at_ms(self, key: RingKey) -> int | None:
        """When another takes over from it, be that past or to come; None where none does."""
        keys = self.of(key.alg)
        after = keys[keys.index(key) + 1 :]
        return after[0].use_from_ms if after else None

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """Our JWK Set for receivers. Raises BadKey where one RSA key is meant for two algorithms."""
        return jwk_set([dict(key.public) for key in self.keys])

    def added(self, key: RingKey) -> "KeyRing":
        """With one more. Raises KeyRefused."""
        known = {one.kid for one in self.keys} | {one.kid for one in self.retired}
        if key.kid in known:
            raise KeyRefused("kid: there is a key of this id already")
        self.check_room()
        return replace(self, keys=(*self.keys, key))

    def check_room(self, keys_max: int = RING_KEYS_MAX) -> None:
        if len(self.keys) >= keys_max:
            kept = f", and {RING_KEYS_MAX - keys_max} are kept for thefts" if keys_max < RING_KEYS_MAX else ""
            raise KeyRefused(
                f"receivers take at most {RING_KEYS_MAX} keys{kept}: retire some first, see `ein keys list`"
            )

    def without(self, kid: str, now_ms: int, after_head: int = 0) -> "KeyRing":
        """With that key retired. Whether it may be is asked before: `holds`, `check_destroy`."""
        gone = self.key(kid)
        left = tuple(key for key in self.keys if key is not gone)
        retired = RetiredKey(gone.kid, gone.public, now_ms, gone.store, after_head)
        return KeyRing(left, (*self.retired, retired))

    def ended(self, kid: str) -> "KeyRing":
        """The private half of a retired key is gone from its store."""
        return replace(
            self,
            retired=tuple(replace(one, store=IN_FILE) if one.kid == kid else one for one in self.retired),
        )


def added_from_ms(ring: KeyRing, alg: SignatureAlgorithm, *, now_ms: int) -> int | None:
    """When the first key of `alg` is used; None where it has one. Raises KeyRefused."""
    if alg in ring.algorithms:
        return None
    ring.check_room(REGULAR_KEYS_MAX)
    # Nobody is to share what another process cannot sign yet.
    return now_ms + AT_ONCE_MS


def use_from_ms(
    ring: KeyRing,
    alg: SignatureAlgorithm,
    *,
    now_ms: int,
    ahead_ms: int,
    max_age_ms: int,
    at_once: bool = False,
) -> int:
    """When a new key of `alg` takes over: `ahead_ms` after it is published for certain. Raises KeyRefused.

    `max_age_ms`: how long receivers may act on a JWK Set that they have. `at_once`: the key in use is in
    others' hands, and tokens that wait for a receiver's next look are the lesser harm.
    """
    if ring.in_use(alg, now_ms) is None:
        raise KeyRefused(f"{alg}: there is no key to rotate; make one: `ein keys add {alg}`")
    ring.check_room(RING_KEYS_MAX if at_once else REGULAR_KEYS_MAX)
    if at_once:
        return now_ms + AT_ONCE_MS
    if any(key.use_from_ms > now_ms for key in ring.of(alg)):
        raise KeyRefused(f"{alg}: a key waits to take over already; `ein keys list` says from when")
    if not max_age_ms <= ahead_ms <= AHEAD_MAX_MS:
        raise KeyRefused(
            f"ahead: receivers may act for {max_age_ms // 1000} s on the JWK Set that they have: at least so"
            f" long, and at most {AHEAD_MAX_MS // 86_400_000} days; `--now` for a key that was stolen"
        )
    return now_ms + AT_ONCE_MS + ahead_ms


def holds(ring: KeyRing, kid: str, *, now_ms: int, margin_ms: int, use: KeyUse) -> tuple[Hold, ...]:
    """What a retirement waits for; empty where the key can be retired now. Raises KeyRefused.

    The margin counts from when another key took over, and from when the last token was seen that was open.
    """
    key = ring.key(kid)
    state, superseded_ms = ring.state(key, now_ms), ring.superseded_at_ms(key)
    if state is KeyState.PUBLISHED:
        return (Hold(Wait.NOT_USED_YET, until_ms=key.use_from_ms),)
    if state is KeyState.IN_USE or superseded_ms is None:
        return (Hold(Wait.IN_USE, until_ms=superseded_ms or 0),)
    found = (Hold(Wait.OPEN_TOKENS, count=use.open_tokens),) if use.open_tokens else ()
    until_ms = max(superseded_ms, now_ms if use.open_tokens else use.last_open_ms) + margin_ms
    return (*found, Hold(Wait.MARGIN, until_ms=until_ms)) if now_ms < until_ms else found


def check_destroy(ring: KeyRing, kid: str, *, now_ms: int) -> RingKey:
    """The key. Raises KeyRefused where it may not be destroyed: something has to sign."""
    key = ring.key(kid)
    if ring.state(key, now_ms) is KeyState.IN_USE:
        raise KeyRefused(
            f"kid: the key is in use; first `ein keys rotate {key.alg} --now`, and destroy it when that has"
            " taken over"
        )
    if 0 < key.use_from_ms - now_ms < AT_ONCE_MS:
        # Not every process would have heard of it by then: one of them would sign with a key that is gone.
        raise KeyRefused(
            f"kid: the key takes over within {AT_ONCE_MS // 1000} s: wait until it has, then"
            f" `ein keys rotate {key.alg} --now`, and destroy it when that has taken over"
        )
    return key
