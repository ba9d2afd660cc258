"""What every store of signing keys and every unwrapper does: subclass a suite, and give it yours.

class TestMine(SigningStoreSuite):
    @pytest.fixture
    def stores(self) -> Callable[[], SigningStore]:
        return open_mine  # each call opens the same keys anew
"""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from gateway.sealing import base64url
from gateway.sealing.keys import KeyStoreFault, SignatureAlgorithm, SigningStore, Unwrapper
from gateway.sealing.set import sign_set
from issuernetwork._jose import RefusedToken, verify_jws, verify_keys

Stores = Callable[[], SigningStore]
Unwrappers = Callable[[], Unwrapper]

ALGORITHMS = tuple(SignatureAlgorithm)
CLAIMS: dict[str, Any] = {"iss": "https://us.test", "aud": "bank"}
SIGNATURE_BYTES = {"ES256": 64, "EdDSA": 64, "RS256": 256, "PS256": 256}
PRIVATE_MEMBERS = {"d", "p", "q", "dp", "dq", "qi", "k"}


class SigningStoreSuite:
    """`stores()` opens the keys as they are now, as another process would."""

    ALGORITHMS: tuple[SignatureAlgorithm, ...] = ALGORITHMS
    """Those that the store can make keys for; of the others it says that it cannot."""

    def test_what_a_key_signs_is_verified_by_its_public_half_in_every_process(self, stores: Stores) -> None:
        for alg in self.ALGORITHMS:
            public = stores().create(f"sig-{alg}", alg)
            keys = verify_keys({"keys": [public]})
            for _ in range(2):
                token = sign_set(stores().signer(f"sig-{alg}", alg), CLAIMS)
                header, payload = verify_jws(token, keys)
                assert (header["alg"], header["kid"]) == (alg, f"sig-{alg}")
                assert json.loads(payload) == CLAIMS
                signature = base64url.decode(token.rsplit(b".", 1)[1])
                assert len(signature) == SIGNATURE_BYTES[alg], "RFC 7518 3.4: R || S, not DER"

    def test_a_public_half_says_what_it_is_for_and_nothing_private(self, stores: Stores) -> None:
        for alg in self.ALGORITHMS:
            public = stores().create(f"sig-{alg}", alg)
            assert (public["kid"], public["alg"], public["use"]) == (f"sig-{alg}", alg, "sig")
            assert not PRIVATE_MEMBERS & public.keys()

    def test_a_signer_signs_for_many_threads_at_once(self, stores: Stores) -> None:
        alg = self.ALGORITHMS[0]
        store = stores()
        keys = verify_keys({"keys": [store.create("sig-1", alg)]})
        signer = store.signer("sig-1", alg)
        with ThreadPoolExecutor(8) as pool:
            tokens = list(pool.map(lambda number: sign_set(signer, {"jti": str(number)}), range(64)))
        assert [json.loads(verify_jws(token, keys)[1])["jti"] for token in tokens] == [
            str(number) for number in range(64)
        ]

    def test_an_id_that_is_taken_is_refused_and_the_key_that_has_it_stays(self, stores: Stores) -> None:
        alg = self.ALGORITHMS[0]
        public = stores().create("sig-1", alg)
        with pytest.raises(KeyStoreFault):
            stores().create("sig-1", alg)
        verify_jws(sign_set(stores().signer("sig-1", alg), CLAIMS), verify_keys({"keys": [public]}))

    def test_two_keys_are_two(self, stores: Stores) -> None:
        alg, store = self.ALGORITHMS[0], stores()
        one, _ = store.create("sig-1", alg), store.create("sig-2", alg)
        renamed = {**one, "kid": "sig-2"}
        with pytest.raises(RefusedToken):
            verify_jws(sign_set(store.signer("sig-2", alg), CLAIMS), verify_keys({"keys": [renamed]}))

    def test_a_key_that_is_not_there_is_a_fault_that_names_no_key(self, stores: Stores) -> None:
        with pytest.raises(KeyStoreFault) as caught:
            stores().signer("sig-absent", self.ALGORITHMS[0])
        assert caught.value.public

    def test_what_was_destroyed_signs_no_more_and_another_key_stays(self, stores: Stores) -> None:
        alg = self.ALGORITHMS[0]
        stores().create("sig-1", alg)
        kept = stores().create("sig-2", alg)
        stores().destroy("sig-1")
        stores().destroy("sig-1")
        with pytest.raises(KeyStoreFault):
            stores().signer("sig-1", alg).sign(b"once more")
        verify_jws(sign_set(stores().signer("sig-2", alg), CLAIMS), verify_keys({"keys": [kept]}))

    def test_what_it_cannot_make_it_says(self, stores: Stores) -> None:
        for alg in set(ALGORITHMS) - set(self.ALGORITHMS):
            with pytest.raises(KeyStoreFault):
                stores().create("sig-1", alg)


class UnwrapperSuite:
    """`unwrappers()` makes one anew, as another process would; `others()` one that must not open the same."""

    SECRET = bytes(range(32))

    def test_a_secret_comes_back_in_another_process_from_what_stands_in_the_file(
        self, unwrappers: Unwrappers
    ) -> None:
        wrapped = json.loads(json.dumps(unwrappers().wrap(self.SECRET)))
        assert unwrappers().unwrap(wrapped) == self.SECRET

    def test_nothing_of_the_secret_stands_in_the_file(self, unwrappers: Unwrappers) -> None:
        text = json.dumps(unwrappers().wrap(self.SECRET))
        assert self.SECRET.hex() not in text
        assert base64url.encode(self.SECRET).decode() not in text

    def test_one_secret_is_never_wrapped_alike(self, unwrappers: Unwrappers) -> None:
        one = unwrappers()
        assert one.wrap(self.SECRET) != one.wrap(self.SECRET)

    def test_another_one_does_not_open_it(self, unwrappers: Unwrappers, others: Unwrappers) -> None:
        wrapped = unwrappers().wrap(self.SECRET)
        with pytest.raises(KeyStoreFault) as caught:
            others().unwrap(wrapped)
        assert self.SECRET.hex() not in str(caught.value)

    def test_what_was_changed_is_not_opened(self, unwrappers: Unwrappers) -> None:
        one = unwrappers()
        wrapped = one.wrap(self.SECRET)
        for name, value in wrapped.items():
            if not isinstance(value, str) or len(value) < 8:
                continue
            # In the middle: the last letter of base64 may have bits that say nothing.
            at = len(value) // 2
            changed = value[:at] + ("z" if value[at] != "z" else "y") + value[at + 1 :]
            with pytest.raises(KeyStoreFault):
                one.unwrap({**wrapped, name: changed})
        with pytest.raises(KeyStoreFault):
            one.unwrap({})

    def test_it_says_its_kind_and_shows_nothing_else(self, unwrappers: Unwrappers) -> None:
        one = unwrappers()
        one.unwrap(one.wrap(self.SECRET))
        assert one.kind.isascii()
        assert self.SECRET.hex() not in repr(one)
        assert "passphrase=" not in repr(one)
