"""Signing keys over time: which signs, which is published, which may go."""

from dataclasses import replace

import pytest

from gateway.sealing.key_ring import (
    AHEAD_MAX_MS,
    AT_ONCE_MS,
    NOT_USED,
    REGULAR_KEYS_MAX,
    RING_KEYS_MAX,
    Hold,
    KeyRing,
    KeyState,
    KeyUse,
    RingKey,
    Wait,
    added_from_ms,
    check_destroy,
    holds,
    use_from_ms,
)
from gateway.sealing.keys import BadKey, KeyRefused, SignatureAlgorithm

ES256, RS256, PS256 = (SignatureAlgorithm(name) for name in ("ES256", "RS256", "PS256"))
NOW_MS, DAY_MS, MAX_AGE_MS = 1_700_000_000_000, 86_400_000, 60_000


def key(kid: str, use_from_ms: int = 0, alg: SignatureAlgorithm = ES256, **public: str) -> RingKey:
    return RingKey(kid, alg, {"kid": kid, "alg": str(alg), "kty": "EC", **public}, 0, use_from_ms)


RING = KeyRing((key("old"), key("used", NOW_MS - DAY_MS), key("next", NOW_MS + 1000), key("rsa", 0, RS256)))


def states(ring: KeyRing, now_ms: int = NOW_MS) -> dict[str, str]:
    return {one.kid: str(ring.state(one, now_ms)) for one in ring.keys}


def test_a_key_is_published_then_used_then_superseded_as_time_passes_and_nothing_else_does() -> None:
    assert states(RING) == {"old": "superseded", "used": "in_use", "next": "published", "rsa": "in_use"}
    assert states(RING, NOW_MS + 999)["next"] == "published"
    later = states(RING, NOW_MS + 1000)
    assert (later["used"], later["next"]) == ("superseded", "in_use")
    assert [RING.superseded_at_ms(one) for one in RING.of(ES256)] == [NOW_MS - DAY_MS, NOW_MS + 1000, None]


def test_a_clock_set_back_before_all_keys_leaves_the_first_of_them_signing() -> None:
    ring = KeyRing((key("b", 20), key("a", 10)))
    assert ring.in_use(ES256, 5) is ring.keys[1]
    assert states(ring, 5) == {"a": "in_use", "b": "published"}


def test_of_two_keys_of_one_time_the_later_made_signs() -> None:
    assert states(KeyRing((key("a", 10), key("b", 10))), 10) == {"a": "superseded", "b": "in_use"}


def test_the_jwk_set_has_all_that_are_not_retired_and_one_rsa_key_for_one_algorithm() -> None:
    assert [one["kid"] for one in RING.without("old", NOW_MS).jwks()["keys"]] == ["used", "next", "rsa"]
    twice = KeyRing(tuple(key(alg, 0, alg, kty="RSA", n="same") for alg in (RS256, PS256)))
    with pytest.raises(BadKey):
        twice.jwks()


def ask(
    ring: KeyRing = RING, alg: SignatureAlgorithm = RS256, ahead_ms: int = MAX_AGE_MS, **more: bool
) -> int:
    return use_from_ms(ring, alg, now_ms=NOW_MS, ahead_ms=ahead_ms, max_age_ms=MAX_AGE_MS, **more)


def test_a_key_takes_over_when_every_receiver_has_it_and_no_sooner() -> None:
    assert ask() == NOW_MS + AT_ONCE_MS + MAX_AGE_MS
    for ahead_ms in (0, MAX_AGE_MS - 1, AHEAD_MAX_MS + 1):
        with pytest.raises(KeyRefused, match="ahead"):
            ask(ahead_ms=ahead_ms)


def test_at_once_is_when_every_process_of_ours_has_it_also_where_another_waits() -> None:
    for alg in (RS256, ES256):
        assert ask(alg=alg, ahead_ms=0, at_once=True) == NOW_MS + AT_ONCE_MS


def test_one_key_waits_at_a_time_and_what_has_no_key_is_not_rotated() -> None:
    with pytest.raises(KeyRefused, match="waits"):
        ask(alg=ES256)
    with pytest.raises(KeyRefused, match="ein keys add PS256"):
        ask(alg=PS256)


def test_there_are_never_more_keys_than_a_receiver_takes() -> None:
    full = KeyRing(tuple(key(f"k{number}", number) for number in range(RING_KEYS_MAX)))
    for at_once in (False, True):
        with pytest.raises(KeyRefused, match="retire some"):
            ask(full, ES256, at_once=at_once)
    with pytest.raises(KeyRefused):
        full.added(key("one more"))
    assert len(full.without("k0", NOW_MS).added(key("one more")).keys) == RING_KEYS_MAX


def test_a_regular_rotation_leaves_room_for_one_at_once_of_every_algorithm() -> None:
    ring = KeyRing(tuple(key(f"k{number}", number) for number in range(REGULAR_KEYS_MAX - 1)))
    assert ask(ring, ES256)
    ring = ring.added(key("regular", REGULAR_KEYS_MAX))
    with pytest.raises(KeyRefused, match=r"kept for thefts: retire some"):
        ask(ring, ES256)
    for number, _ in enumerate(SignatureAlgorithm):
        assert ask(ring, ES256, at_once=True) == NOW_MS + AT_ONCE_MS
        ring = ring.added(key(f"stolen {number}", NOW_MS))


def test_the_first_key_of_an_algorithm_takes_no_place_kept_for_a_theft() -> None:
    ring = KeyRing(tuple(key(f"k{number}", number) for number in range(REGULAR_KEYS_MAX - 1)))
    assert added_from_ms(ring, ES256, now_ms=NOW_MS) is None
    assert added_from_ms(ring, RS256, now_ms=NOW_MS) == NOW_MS + AT_ONCE_MS
    ring = ring.added(key("regular", REGULAR_KEYS_MAX))
    with pytest.raises(KeyRefused, match=r"kept for thefts: retire some"):
        added_from_ms(ring, RS256, now_ms=NOW_MS)


def waits(kid: str, use: KeyUse = NOT_USED, now_ms: int = NOW_MS, margin_ms: int = 100) -> tuple[Hold, ...]:
    return holds(RING, kid, now_ms=now_ms, margin_ms=margin_ms, use=use)


def test_a_key_that_signs_or_is_to_sign_is_not_retired() -> None:
    assert waits("used") == (Hold(Wait.IN_USE, until_ms=NOW_MS + 1000),)
    assert waits("rsa") == (Hold(Wait.IN_USE),)
    assert waits("next") == (Hold(Wait.NOT_USED_YET, until_ms=NOW_MS + 1000),)


def test_a_superseded_key_is_retired_a_margin_after_it_was_and_after_its_last_token_was_seen_open() -> None:
    since_ms = NOW_MS - DAY_MS
    assert waits("old", now_ms=since_ms + 99) == (Hold(Wait.MARGIN, until_ms=since_ms + 100),)
    assert waits("old", now_ms=since_ms + 100) == ()
    seen = KeyUse(last_open_ms=since_ms + 50)
    assert waits("old", seen, now_ms=since_ms + 149) == (Hold(Wait.MARGIN, until_ms=since_ms + 150),)
    assert waits("old", seen, now_ms=since_ms + 150) == ()


def test_an_open_token_holds_its_key_whatever_the_time_and_with_no_margin_at_all() -> None:
    held = waits("old", KeyUse(open_tokens=3), margin_ms=0)
    assert held == (Hold(Wait.OPEN_TOKENS, count=3),)
    assert waits("old", KeyUse(open_tokens=1)) == (
        Hold(Wait.OPEN_TOKENS, count=1),
        Hold(Wait.MARGIN, until_ms=NOW_MS + 100),
    )


def test_what_is_retired_is_kept_with_its_public_half_and_is_no_key_any_more() -> None:
    ring = RING.without("old", NOW_MS)
    assert [(one.kid, one.retired_at_ms) for one in ring.retired] == [("old", NOW_MS)]
    assert ring.retired[0].public == RING.keys[0].public
    for refused in (
        lambda: ring.without("old", NOW_MS),
        lambda: ring.key("old"),
        lambda: ring.added(key("old")),
    ):
        with pytest.raises(KeyRefused):
            refused()


def test_what_is_still_in_its_store_is_known_until_it_is_ended() -> None:
    ring = KeyRing((replace(key("a"), store="pkcs11"), key("b", 1))).without("a", NOW_MS)
    assert ring.retired[0].store == "pkcs11"
    assert ring.ended("a").retired[0].store == ""


def test_a_key_is_destroyed_unless_it_signs_or_is_to_sign_before_every_process_knows() -> None:
    in_time_ms = NOW_MS + 1000 - AT_ONCE_MS
    assert check_destroy(RING, "old", now_ms=NOW_MS).kid == "old"
    assert check_destroy(RING, "next", now_ms=in_time_ms).kid == "next"
    for kid in ("used", "rsa", "nobody's"):
        with pytest.raises(KeyRefused):
            check_destroy(RING, kid, now_ms=NOW_MS)
    for late_ms in (in_time_ms + 1, NOW_MS + 999):
        assert RING.state(RING.key("next"), late_ms) is KeyState.PUBLISHED
        with pytest.raises(KeyRefused, match="takes over within 5 s"):
            check_destroy(RING, "next", now_ms=late_ms)
