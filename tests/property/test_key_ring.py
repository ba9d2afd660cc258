"""Any sequence of rotations, retirements and thefts: what is signed can be verified, and goes on to be."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.sealing.key_ring import (
    AT_ONCE_MS,
    RING_KEYS_MAX,
    KeyRing,
    KeyState,
    KeyUse,
    RingKey,
    Wait,
    check_destroy,
    holds,
    use_from_ms,
)
from gateway.sealing.keys import KeyRefused, SignatureAlgorithm

ALGORITHMS = (SignatureAlgorithm.ES256, SignatureAlgorithm.EDDSA)
MAX_AGE_MS, MARGIN_MS = 1_000, 500

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("pass"), st.sampled_from((1, 499, 999, 1_000, AT_ONCE_MS))),
        st.tuples(
            st.just("rotate"), st.sampled_from(ALGORITHMS), st.sampled_from((0, 500, 999, 1_000, 4_000))
        ),
        st.tuples(st.just("sign"), st.sampled_from(ALGORITHMS)),
        st.tuples(st.just("acknowledge"), st.integers(0, 3)),
        st.tuples(st.just("retire"), st.integers(0, 3)),
        st.tuples(st.just("stolen"), st.sampled_from(ALGORITHMS)),
        st.tuples(st.just("destroy"), st.integers(0, 50)),
    ),
    # Long ones: a retirement is four steps in order.
    min_size=20,
    max_size=80,
)


class Ring:
    """A ring, what it published when, and the tokens that are open."""

    def __init__(self) -> None:
        self.now_ms = 1_000_000
        self.made = 0
        self.at_once: set[str] = set()
        self.ring = KeyRing(())
        for alg in ALGORITHMS:
            self.ring = self.ring.added(self._new(alg, 0))
        self.published: list[tuple[int, frozenset[str]]] = [(0, self._kids())]
        self.open: list[tuple[str, int]] = []
        self.last_open_ms: dict[str, int] = {}
        self.destroyed: set[str] = set()

    def _new(self, alg: SignatureAlgorithm, from_ms: int) -> RingKey:
        self.made += 1
        kid = f"k{self.made}"
        return RingKey(kid, alg, {"kid": kid, "alg": str(alg), "kty": "OKP"}, self.now_ms, from_ms)

    def _kids(self) -> frozenset[str]:
        return frozenset(key["kid"] for key in self.ring.jwks()["keys"])

    def _put(self, ring: KeyRing) -> None:
        self.ring = ring
        self.published.append((self.now_ms, self._kids()))

    def rotate(self, alg: SignatureAlgorithm, ahead_ms: int, *, at_once: bool = False) -> None:
        try:
            from_ms = use_from_ms(
                self.ring, alg, now_ms=self.now_ms, ahead_ms=ahead_ms, max_age_ms=MAX_AGE_MS, at_once=at_once
            )
        except KeyRefused:
            return
        made = self._new(alg, from_ms)
        if at_once:
            self.at_once.add(made.kid)
        self._put(self.ring.added(made))

    def sign(self, alg: SignatureAlgorithm) -> None:
        used = self.ring.in_use(alg, self.now_ms)
        assert used is not None, "something always signs"
        self.open.append((used.kid, self.now_ms))

    def acknowledge(self, number: int) -> None:
        if self.open:
            self._see()
            self.open.pop(number % len(self.open))

    def _see(self) -> None:
        self.last_open_ms.update((kid, self.now_ms) for kid, _ in self.open)

    def retire(self, number: int) -> None:
        self._see()
        key = self.ring.keys[number % len(self.ring.keys)]
        count = sum(kid == key.kid for kid, _ in self.open)
        use = KeyUse(count, self.last_open_ms.get(key.kid, 0))
        waits = holds(self.ring, key.kid, now_ms=self.now_ms, margin_ms=MARGIN_MS, use=use)
        if waits:
            return
        assert self.ring.state(key, self.now_ms) is KeyState.SUPERSEDED
        assert not count
        assert self.now_ms >= self.last_open_ms.get(key.kid, 0) + MARGIN_MS
        self._put(self.ring.without(key.kid, self.now_ms))

    def destroy(self, number: int) -> None:
        key = self.ring.keys[number % len(self.ring.keys)]
        try:
            check_destroy(self.ring, key.kid, now_ms=self.now_ms)
        except KeyRefused:
            assert self.ring.state(key, self.now_ms) is KeyState.IN_USE or (
                0 < key.use_from_ms - self.now_ms < AT_ONCE_MS
            ), "it does not sign, and every process would hear of its end before it does"
            return
        self.destroyed.add(key.kid)
        self._put(self.ring.without(key.kid, self.now_ms))

    def fetched(self, at_ms: int) -> frozenset[str]:
        """What a receiver may have got then: the process that it asked may be as late as a process may be."""
        late_ms = max(0, at_ms - AT_ONCE_MS)
        return next(kids for since_ms, kids in reversed(self.published) if since_ms <= late_ms)

    def check(self) -> None:
        for alg in ALGORITHMS:
            states = [self.ring.state(key, self.now_ms) for key in self.ring.of(alg)]
            assert states.count(KeyState.IN_USE) == 1
            assert states == sorted(states, key=[*KeyState][::-1].index), (
                "superseded, then in use, then published"
            )
        assert len(self.ring.keys) <= RING_KEYS_MAX
        now = self._kids()
        for kid, signed_at_ms in self.open:
            if kid in self.destroyed:
                continue
            assert kid in now, "an open token whose key is not published any more"
            if kid not in self.at_once:
                # Whoever fetched the set as late as it may be kept has the key.
                assert kid in self.fetched(max(0, signed_at_ms - MAX_AGE_MS))


@settings(max_examples=300)
@given(STEPS)
def test_what_is_signed_is_in_every_set_that_a_receiver_may_still_act_on_until_it_is_acknowledged(
    steps: list[tuple[object, ...]],
) -> None:
    ring = Ring()
    for verb, *given_ in steps:
        if verb == "pass":
            ring.now_ms += given_[0]  # type: ignore[operator]
        elif verb == "stolen":
            ring.rotate(given_[0], 0, at_once=True)  # type: ignore[arg-type]
        else:
            getattr(ring, str(verb))(*given_)
        ring.check()


def test_the_margin_is_what_a_retirement_waits_for_last() -> None:
    ring = Ring()
    ring.rotate(SignatureAlgorithm.ES256, MAX_AGE_MS)
    ring.now_ms += AT_ONCE_MS + MAX_AGE_MS
    waits = holds(ring.ring, "k1", now_ms=ring.now_ms, margin_ms=MARGIN_MS, use=KeyUse())
    assert [one.wait for one in waits] == [Wait.MARGIN]
    ring.now_ms += MARGIN_MS
    ring.retire(0)
    assert "k1" not in {key.kid for key in ring.ring.keys}
