"""Which signer a stream has."""

import pytest

from gateway.feeds.signers import StreamSigners
from gateway.programs.model import Recipient
from gateway.sealing.keys import KeyStoreFault, SignatureAlgorithm
from gateway.sealing.signer import LocalSigner
from tests.unit.receiver.network import signing_key

ES256, RS256 = (LocalSigner(signing_key(alg)) for alg in (SignatureAlgorithm.ES256, SignatureAlgorithm.RS256))


def signers(
    known: dict[SignatureAlgorithm, LocalSigner] | None = None, *, followed: bool = True
) -> StreamSigners:
    held = known or {SignatureAlgorithm.ES256: ES256, SignatureAlgorithm.RS256: RS256}
    return StreamSigners(held.get, lambda: ES256, lambda: followed)


def test_a_recipient_has_the_signer_that_its_document_names_and_an_unknown_one_the_default() -> None:
    made = signers()
    assert made.of("bank") is ES256
    made.use({"bank": Recipient("bank", True, "RS256"), "other": Recipient("other", True)})
    assert made.of("bank") is RS256
    assert made.of("other") is ES256
    made.use({"bank": Recipient("bank", True, "ES256")})
    assert made.of("bank") is ES256


def test_a_recipient_that_left_the_policy_is_told_of_withdrawals_in_the_algorithm_that_it_reads() -> None:
    made = signers()
    made.use({"bank": Recipient("bank", True, "RS256")})
    made.use({})
    assert made.of("bank") is RS256


def test_an_algorithm_without_a_key_leaves_the_signer_as_it_was() -> None:
    made = signers()
    made.use({"bank": Recipient("bank", True, "RS256")})
    made.use({"bank": Recipient("bank", True, "EdDSA")})
    assert made.of("bank") is RS256
    assert "****" not in repr(made)
    assert "EdDSA" not in repr(made)


def test_an_algorithm_signs_from_when_it_has_a_key_and_another_key_from_when_it_is_in_use() -> None:
    known = {SignatureAlgorithm.ES256: ES256}
    made = signers(known)
    made.use({"bank": Recipient("bank", True, "RS256")})
    assert made.of("bank") is ES256
    known[SignatureAlgorithm.RS256] = RS256
    assert made.of("bank") is RS256
    known[SignatureAlgorithm.RS256] = later = LocalSigner(signing_key(SignatureAlgorithm.RS256))
    assert made.of("bank") is later


def test_a_share_waits_for_a_key_that_another_process_may_have_and_what_takes_back_does_not() -> None:
    known = {SignatureAlgorithm.ES256: ES256}
    made = signers(known, followed=False)
    assert made.of_share("bank") is ES256, "of whom no document is known"
    made.use({"bank": Recipient("bank", True, "RS256"), "other": Recipient("other", True)})
    with pytest.raises(KeyStoreFault, match="RS256"):
        made.of_share("bank")
    assert made.of("bank") is ES256
    assert made.of_share("other") is ES256
    known[SignatureAlgorithm.RS256] = RS256
    assert made.of_share("bank") is RS256


def test_a_share_whose_key_is_nowhere_has_no_signer_and_holds_nobody_up() -> None:
    made = signers({SignatureAlgorithm.ES256: ES256})
    made.use({"bank": Recipient("bank", True, "RS256"), "other": Recipient("other", True)})
    assert made.of_share("bank") is None
    assert made.of_share("other") is ES256


@pytest.mark.parametrize("followed", [True, False])
def test_a_share_of_before_is_signed_as_before_unless_another_process_may_have_the_key(
    followed: bool,
) -> None:
    made = signers(followed=followed)
    made.use({"bank": Recipient("bank", True, "RS256")})
    made.use({"bank": Recipient("bank", True, "EdDSA")})
    if followed:
        # Nobody can have released it for a stream of EdDSA: there is no such key.
        assert made.of_share("bank") is RS256
    else:
        with pytest.raises(KeyStoreFault, match="EdDSA"):
            made.of_share("bank")
    assert made.of("bank") is RS256
