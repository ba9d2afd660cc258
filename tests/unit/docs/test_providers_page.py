"""docs/reference/providers.md: which providers there are, what they fill, why they lack, what they see."""

import re
from pathlib import Path

import yaml

from enrichment.provider import KEYS, PERSONAL, REASONS
from enrichment.providers import amounts, card_testing, device, kept, merchant, network
from enrichment.signals import PROVIDED
from gateway.server.providers.build import build_providers
from gateway.server.providers.files import IIN_COLUMNS, RATE_COLUMNS
from gateway.server.providers.settings import OTHERS_MAX, OtherSettings, ProvidersSettings
from tests.unit.docs.pages import REFERENCE, first_names, rows, section

PAGE = (REFERENCE / "providers.md").read_text()


def names(cell: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", cell))


def test_every_provider_has_a_row_with_what_it_gives(tmp_path: Path) -> None:
    for name in ("list.txt", "rates.csv", "iins.csv"):
        (tmp_path / name).write_text("")
    settings = ProvidersSettings.model_validate(
        {
            "network": {"country": "list.txt", "asn": "list.txt", "lists": {"tor": "list.txt"}},
            "merchant": {"rates": "rates.csv"},
            "iin": {"table": "iins.csv"},
        }
    )
    built = build_providers(settings, folder=tmp_path, copies=tmp_path, memory=tmp_path / "memory")
    given = {
        one.provider.name: (
            set(one.provider.gives) & PROVIDED.keys(),
            set(one.provider.gives) - PROVIDED.keys(),
        )
        for one in built.budgeted
    }
    table = [row for row in rows(PAGE.split("## ")[0]) if row[0].startswith("`")]
    assert {row[0].strip("`"): (names(row[1]), names(row[2])) for row in table} == given


def test_every_reason_has_a_row_in_the_same_words() -> None:
    told = {row[0].strip("`"): row[1] for row in rows(section(PAGE, "Budgets and reasons"))[1:]}
    assert told == REASONS


def test_every_fact_key_has_a_row_that_says_whether_it_is_personal() -> None:
    table = rows(section(PAGE, "Providers of third parties"))[1:]
    told = {key: row[1] for row in table for key in names(row[0])}
    assert told == {key: "yes" if key in PERSONAL else "no" for key in KEYS}


def test_the_settings_of_the_example_are_settings() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.S)
    document = yaml.safe_load(text)
    (other,) = ProvidersSettings.model_validate(document["providers"]).others
    assert isinstance(other, OtherSettings)
    assert other.may_see == ("ip",)


def test_the_columns_of_a_table_of_rates_are_told() -> None:
    assert first_names(section(PAGE, "Rates of merchants")) == {"column", *RATE_COLUMNS} - {"column"}
    assert first_names(section(PAGE, "IIN and card product")) == {"column", *IIN_COLUMNS} - {"column"}


def test_the_limits_that_are_told_are_those_of_the_code() -> None:
    for told, limit in (
        ("65,536 networks", network.NETWORKS_CACHED),
        ("349,524 pairs", device.PAIRS),
        ("349,524", amounts.CARDS),
        ("87,380 merchants", amounts.MERCHANTS),
        ("180", 2 * kept.GENERATION_DAYS),
        ("fewer than 500 payments", merchant.RATE_PAYMENTS_MIN),
    ):
        assert told in PAGE
        assert f"{limit:,}" in told
    assert (card_testing.DEVICE_CARDS, card_testing.MERCHANT_CARDS) == ((4, 6), (10, 16))
    assert f"at most {OTHERS_MAX} providers" in (REFERENCE / "settings.md").read_text()
