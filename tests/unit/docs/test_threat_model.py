"""The threat model says of each requirement once how it stands, and its figures are those of the code."""

from collections import Counter

import pytest

from gateway.backends.embedded import passphrase
from gateway.programs.switches import LEASE_MS
from gateway.sealing import jwe, jwk
from gateway.sealing.operator_token import LIFE_S_MAX
from tests.unit.docs.pages import DOCS, rows, section

PAGE = (DOCS / "threat-model.md").read_text()
STATES = {"met", "in part", "not met", "operator's", "none here"}
STANDARDS = ("PCI DSS 4.0.1", "OWASP ASVS 5.0")


def requirements(standard: str) -> list[list[str]]:
    return [row for row in rows(section(PAGE, standard)) if row[0] not in ("requirement", "---|---|---|---")]


@pytest.mark.parametrize("standard", STANDARDS)
def test_each_requirement_has_one_state_and_says_where_or_what_is_missing(standard: str) -> None:
    found = requirements(standard)
    assert len(found) > 50
    assert [row for row in found if len(row) != 4 or row[2] not in STATES] == []
    assert [row[0] for row in found if row[2] in ("met", "in part") and not row[3]] == []


@pytest.mark.parametrize("standard", STANDARDS)
def test_no_requirement_stands_twice(standard: str) -> None:
    names = Counter(name for row in requirements(standard) for name in row[0].split(", "))
    assert [name for name, count in names.items() if count > 1] == []


def test_its_figures_are_those_of_the_code() -> None:
    assert jwe.MESSAGES_PER_CONTENT_KEY == 2**20
    assert jwe.CONTENT_KEY_LIFE_MS == 5 * 60 * 1000
    assert "2^20 messages or five minutes" in PAGE
    assert f"scrypt (N 2^{passphrase.SCRYPT_LOG2_N}, r 8, p 1)" in PAGE
    assert f"RSA-OAEP-256 with {jwk.RSA_BITS_MIN} to {jwk.RSA_BITS_MAX} bits" in PAGE
    assert LIFE_S_MAX == 600
    assert "a signed token of ten minutes" in PAGE
    assert f"leases of {LEASE_MS} ms" in PAGE
