"""The quickstart, typed in as it stands, on free ports."""

import re

import pytest

from tests.unit.docs.pages import DOCS
from tests.unit.docs.typed import on_free_ports, shapes, steps, type_in

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def page() -> str:
    return on_free_ports(DOCS / "quickstart.md")


@pytest.fixture(scope="module")
def printed(page: str, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What each command printed."""
    return type_in(page, tmp_path_factory.mktemp("q"), with_errors=False)


def test_every_command_prints_what_the_page_says_numbers_aside(page: str, printed: list[str]) -> None:
    assert len(printed) == len(steps(page))
    for (command, said), output in zip(steps(page), printed, strict=True):
        assert shapes(output.splitlines()) == shapes(said), command


def test_what_is_said_as_shared_arrives_is_verified_and_adds_up(page: str, printed: list[str]) -> None:
    by_command = {command: output for (command, _), output in zip(steps(page), printed, strict=True)}

    def output_of(part: str) -> str:
        return next(output for command, output in by_command.items() if part in command)

    found = re.search(r"(\d+) risk-score shared", output_of("payment_service.py"))
    assert found
    shared = int(found[1])
    assert 0 < shared < 20
    assert f"{shared} shares, 0 withdrawn, 0 refused" in output_of("issuer_receiver.py")
    account = output_of("ein verify")
    assert re.search(rf"acknowledged +{shared}\n", account)
    assert re.search(r"lost +0\n", account)
    assert account.endswith("the account adds up\n")
    assert f"{shared} by ssf" in output_of("ein kill")
