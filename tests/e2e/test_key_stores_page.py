"""The page of key stores, typed in as it stands: a module in software, and a vault's recorded contract."""

import re

import pytest

from tests.kit.softhsm import needs_softhsm
from tests.unit.docs.pages import DOCS
from tests.unit.docs.typed import on_free_ports, shapes, steps, type_in, with_vault

PAGE = DOCS / "key-stores.md"
pytestmark = pytest.mark.timeout(300)


@needs_softhsm
def test_every_command_prints_what_the_page_says_numbers_aside(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    pytest.importorskip("hvac", reason="the extra vault is not installed")
    with with_vault(on_free_ports(PAGE)) as page:
        printed = type_in(page, tmp_path_factory.mktemp("g"), with_errors=True)
    assert len(printed) == len(steps(page))
    for (command, said), output in zip(steps(page), printed, strict=True):
        assert shapes(output.splitlines()) == shapes(said), (
            f"{command}: run python -m tests.unit.docs.typed docs/key-stores.md"
        )


def test_it_says_plainly_that_the_vaults_part_met_no_real_vault() -> None:
    text = " ".join(PAGE.read_text().split())
    assert "Never run against a real Vault" in text
    assert "No part of this has ever met a real Vault" in text


def test_every_algorithm_has_a_measured_rate() -> None:
    found = dict(re.findall(r"^\| (\S+) in SoftHSM2 \| ([\d,]+) \|$", PAGE.read_text(), re.M))
    assert found.keys() == {"ES256", "EdDSA", "RS256", "PS256"}
