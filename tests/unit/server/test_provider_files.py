"""Files that providers look things up in: followed while the gateway runs, the last good state in force."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from enrichment.provider import Columns
from enrichment.providers.merchant import RATE_PAYMENTS_MIN
from gateway.server.providers import build
from gateway.server.providers.build import Providers, build_providers
from gateway.server.providers.files import FileRefused, ProviderFileMissing, read_iins, read_rates
from gateway.server.providers.settings import ProvidersSettings
from gateway.server.settings import SettingsInvalid, load_settings
from tests.kit.plain_logs import plain_logs
from tests.unit.providers.test_network import ANONYMITY, ASN, COUNTRY, DATA

US, JAPAN = "216.160.83.56", "2001:218::1"


@pytest.fixture
def databases(tmp_path: Path) -> Path:
    """Copies that a test may change."""
    if not DATA.exists():
        pytest.skip(f"{DATA} is not there: MaxMind's test databases are read in place")
    for name, file in (("country", COUNTRY), ("asn", ASN), ("anonymity", ANONYMITY)):
        shutil.copy(DATA / file, tmp_path / f"{name}.mmdb")
        (tmp_path / f"{name}.mmdb").chmod(0o600)
    return tmp_path


class Built:
    """Providers of an installation, and one of them to ask."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.told: list[int] = []
        self.providers: Providers = build_providers(
            ProvidersSettings.model_validate(settings), folder=folder, copies=folder, memory=folder / "memory"
        )
        self.providers.tell = self.told.append

    def named(self, name: str) -> Any:
        return next(one.provider for one in self.providers.budgeted if one.provider.name == name)

    def of_ip(self, ip: str) -> dict[str, Any]:
        found = self.named("network").fetch(Columns({"ip": [ip]}, 1))
        return {name: column[0] for name, column in found.items() if column[0] is not None}

    def rates(self) -> dict[str, Any]:
        wanted = Columns({"mcc": [""], "sender_id": ["shop"], "merchant_id": ["m-1"]}, 1)
        found = self.named("merchant").fetch(wanted)
        return {name: column[0] for name, column in found.items() if column[0] is not None}

    def of_iin(self, iin: str) -> dict[str, Any]:
        found = self.named("iin").fetch(Columns({"iin": [iin]}, 1))
        return {name: column[0] for name, column in found.items() if column[0] is not None}

    def look(self) -> None:
        """Two looks: a file has to stand still between them."""
        self.providers.step()
        self.providers.step()


def test_databases_in_the_settings_fill_their_fields(databases: Path) -> None:
    built = Built(
        databases, network={"country": "country.mmdb", "asn": "asn.mmdb", "anonymity": "anonymity.mmdb"}
    )
    assert built.of_ip(US) == {"ip_country": "US", "ip_asn": 209, "ip_anonymised": "none"}
    assert built.of_ip(JAPAN)["ip_country"] == "JP"
    assert sorted(path.suffix for path in databases.iterdir()) == [".mmdb"] * 3, "copies are gone at once"


def test_a_database_that_is_replaced_is_in_use_without_a_restart(databases: Path) -> None:
    built = Built(databases, network={"country": "country.mmdb"})
    assert built.of_ip(US) == {"ip_country": "US"}
    shutil.copy(DATA / "GeoIP2-City-Test.mmdb", databases / "new.mmdb")
    (databases / "new.mmdb").rename(databases / "country.mmdb")
    # The city database knows an address that the one of countries does not.
    assert "ip_country" not in built.of_ip("214.0.1.1")
    built.providers.step()
    assert "ip_country" not in built.of_ip("214.0.1.1"), "it may still be copied: one look is not enough"
    built.providers.step()
    assert built.of_ip("214.0.1.1") == {"ip_country": "AU"}
    assert built.told[-1] == 0


def test_a_database_that_is_written_over_in_place_harms_nobody(databases: Path) -> None:
    built = Built(databases, network={"country": "country.mmdb"})
    path = databases / "country.mmdb"
    whole = path.read_bytes()
    path.write_bytes(b"")  # the file itself: what had it mapped would end by SIGBUS
    built.look()
    assert built.of_ip(JAPAN) == {"ip_country": "JP"}
    assert built.named("network").lacking == "", "the last good one is in force"
    path.write_bytes(whole[: len(whole) // 2])
    built.look()
    assert (built.of_ip("2.125.160.216"), built.told[-1]) == ({"ip_country": "GB"}, 1)
    path.write_bytes(whole)
    built.look()
    assert (built.of_ip(US), built.told[-1]) == ({"ip_country": "US"}, 0)


def test_a_gateway_starts_with_a_broken_database_and_says_what_it_lacks(databases: Path) -> None:
    whole = (databases / "country.mmdb").read_bytes()
    (databases / "country.mmdb").write_bytes(whole[:5_000])
    built = Built(databases, network={"country": "country.mmdb", "asn": "asn.mmdb"})
    assert (built.of_ip(US), built.named("network").lacking) == ({"ip_asn": 209}, "unavailable")
    (databases / "country.mmdb").write_bytes(whole)
    built.look()
    assert built.of_ip(US) == {"ip_country": "US", "ip_asn": 209}
    assert built.named("network").lacking == ""


def test_a_database_of_something_else_is_refused_and_told(
    databases: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    built = Built(databases, network={"country": "asn.mmdb"})
    assert built.named("network").lacking == "unavailable"
    assert "a database of something else" in capsys.readouterr().out


def test_lists_are_followed_and_a_line_at_fault_is_told_by_its_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tor = tmp_path / "tor.txt"
    tor.write_text("# exits\n20.1.0.0/16   # a comment\n\n2600:1f00::/24\n")
    built = Built(tmp_path, network={"lists": {"tor": "tor.txt"}})
    assert (built.of_ip("20.1.2.3"), built.of_ip("20.2.2.3")) == ({"ip_anonymised": "tor"}, {})
    tor.write_text("20.1.0.0/16\nsecret.example\n")
    built.look()
    assert built.of_ip("20.1.2.3") == {"ip_anonymised": "tor"}
    said = capsys.readouterr().out
    assert "tor.txt: line 2 is no network" in said
    assert "secret.example" not in said
    tor.write_text("20.2.0.0/16\n")
    built.look()
    assert (built.of_ip("20.1.2.3"), built.of_ip("20.2.2.3")) == ({}, {"ip_anonymised": "tor"})


def test_with_nothing_to_look_up_in_the_network_provider_is_not_asked_and_lacks_nothing(
    tmp_path: Path,
) -> None:
    names = {one.provider.name for one in Built(tmp_path).providers.budgeted}
    assert names == {"merchant", "contact", "device", "amounts", "authentication", "card_testing"}


def test_a_provider_that_is_turned_off_is_not_asked(tmp_path: Path) -> None:
    names = {one.provider.name for one in Built(tmp_path, contact={"enabled": False}).providers.budgeted}
    assert "contact" not in names


def test_a_setting_that_names_no_file_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ProviderFileMissing, match=r"^providers.network.asn: no such file; name one"):
        Built(tmp_path, network={"asn": "absent.mmdb"})


HEAD = "sender_id,merchant_id,payments,frauds,disputes\n"


def csv(path: Path, *rows: str) -> Path:
    path.write_text(HEAD + "\n".join(rows) + "\n")
    return path


def refused(read: Callable[[Path], object], path: Path, text: str, why: str) -> None:
    """By this reason, and without what the file holds."""
    path.write_text(text)
    with pytest.raises(FileRefused) as fault:
        read(path)
    assert why in fault.value.public
    assert "secret" not in fault.value.public


def test_rates_come_from_counts_and_are_absent_where_there_are_few(tmp_path: Path) -> None:
    path = csv(
        tmp_path / "rates.csv",
        "shop,m-1,20000,30,",
        f"shop,m-2,{RATE_PAYMENTS_MIN - 1},3,3",
        "other,m-1,1000,,7",
    )
    assert read_rates(path) == {
        ("shop", "m-1"): (15, None), ("shop", "m-2"): (None, None), ("other", "m-1"): (None, 70),
    }  # fmt: skip


def test_rates_in_parquet_are_as_in_csv(tmp_path: Path) -> None:
    table = pa.table(
        {
            "disputes": pa.array([None, 3, 7], pa.int64()),
            "frauds": pa.array([30, 3, None], pa.int32()),
            "merchant_id": ["m-1", "m-2", "m-1"],
            "note": ["", "", ""],
            "payments": [20_000, 10, 1_000],
            "sender_id": ["shop", "shop", "other"],
        }
    )
    pq.write_table(table, tmp_path / "rates.parquet")
    found = read_rates(
        csv(tmp_path / "rates.csv", "shop,m-1,20000,30,", "shop,m-2,10,3,3", "other,m-1,1000,,7")
    )
    assert read_rates(tmp_path / "rates.parquet") == found


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("sender_id,merchant_id\nshop,m\n", "the columns must be sender_id, merchant_id, payments"),
        (HEAD + "shop,secret,many,1,1\n", "row 1: counts must be whole numbers"),
        (HEAD + "shop,secret,10,11,1\n", "row 1: more events than payments"),
        (HEAD + "shop,secret,10,-1,1\n", "row 1: more events than payments"),
        (HEAD + "shop,secret,,1,1\n", "row 1: more events than payments, or no payments"),
        (HEAD + "shop,secret,10,1,1\nshop,secret,10,1,1\n", "row 2: a merchant that an earlier row has"),
        (HEAD + "shop,secret,10\n", "row 1"),
        ("", "the columns must be"),
        ("\0\0", "the columns must be"),
    ],
)
def test_a_table_at_fault_is_refused_with_the_row_and_no_value(text: str, why: str, tmp_path: Path) -> None:
    refused(read_rates, tmp_path / "rates.csv", text, why)


def test_what_is_no_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rates.parquet").write_text(HEAD)
    with pytest.raises(FileRefused, match="not readable as Parquet"):
        read_rates(tmp_path / "rates.parquet")


def test_a_table_of_rates_is_followed(tmp_path: Path) -> None:
    path = csv(tmp_path / "rates.csv", "shop,m-1,20000,30,40")
    built = Built(tmp_path, merchant={"rates": "rates.csv"})
    assert built.rates() == {"merchant_fraud_rate_bp": 15, "merchant_dispute_rate_bp": 20}
    csv(path, "shop,m-1,20000,60,40")
    built.look()
    assert built.rates()["merchant_fraud_rate_bp"] == 30
    path.write_text("torn")
    built.look()
    assert built.rates()["merchant_fraud_rate_bp"] == 30
    path.unlink()
    built.look()
    assert built.rates()["merchant_fraud_rate_bp"] == 30, "a file that is gone changes nothing"


IINS = "iin,country,funding,product\n"


def iins(path: Path, *rows: str) -> Path:
    path.write_text(IINS + "\n".join(rows) + "\n")
    return path


def test_a_table_of_iins_has_prefixes_and_ranges_and_leaves_out_what_is_empty(tmp_path: Path) -> None:
    path = iins(tmp_path / "iins.csv", "400000,US,credit,", "04000198-04000200,,,Élite", "4000001,,debit,")
    elite = (None, None, "Élite")
    assert read_iins(path) == {
        "400000": ("US", "credit", None), "04000198": elite, "04000199": elite, "04000200": elite,
        "4000001": (None, "debit", None),
    }  # fmt: skip


def test_iins_in_parquet_are_as_in_csv(tmp_path: Path) -> None:
    columns = {"product": [None, "Gold"], "funding": ["debit", None], "country": ["DE", ""],
               "iin": ["400000", "500000-500001"], "issuer": ["", ""]}  # fmt: skip
    pq.write_table(pa.table(columns), tmp_path / "iins.parquet")
    found = read_iins(iins(tmp_path / "iins.csv", "400000,DE,debit,", "500000-500001,,,Gold"))
    assert read_iins(tmp_path / "iins.parquet") == found


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("iin,country\n400000,US\n", "the columns must be iin, country, funding, product"),
        (IINS + "411111111111,US,,\n", "row 1: iin must be 6 to 8 digits"),
        (IINS + "41111,US,,\n", "row 1: iin must be 6 to 8 digits"),
        (IINS + "٤٠٠٠٠٠,US,,\n", "row 1: iin must be 6 to 8 digits"),
        (IINS + "400001-400000,US,,\n", "row 1: iin must be 6 to 8 digits"),
        (IINS + "400000-4000009,US,,\n", "row 1: iin must be 6 to 8 digits"),
        (IINS + "400000-,US,,\n", "row 1: iin must be 6 to 8 digits"),
        (IINS + "-400000,US,,\n", "row 1: iin must be 6 to 8 digits"),
        (IINS + "400000,secret,,\n", "row 1: country must be ISO 3166-1"),
        (IINS + "400000,UK,,\n", "row 1: country is not assigned"),
        (IINS + "400000,,secret,\n", "row 1: funding must be credit | debit | prepaid | commercial"),
        (IINS + f"400000,,,{'secret' * 6}\n", "row 1: product must be string <= 32"),
        (IINS + "400000,,,sec\tret\n", "row 1: product must be"),
        (IINS + "400000-400009,,,\n400005,,,\n", "row 2: an IIN that an earlier row has"),
        (IINS + "40000000-41000000,,,\n", "more than 1000000 entries"),
        (IINS + "400000,US\n", "row 1"),
        ("", "the columns must be"),
    ],
)
def test_a_table_of_iins_at_fault_is_refused_with_the_row_and_no_value(
    text: str, why: str, tmp_path: Path
) -> None:
    refused(read_iins, tmp_path / "iins.csv", text, why)


def test_a_table_of_iins_is_followed_and_without_one_the_provider_is_not_asked(tmp_path: Path) -> None:
    path = iins(tmp_path / "iins.csv", "400000,US,credit,")
    built = Built(tmp_path, iin={"table": "iins.csv"})
    assert built.of_iin("40000012") == {"iin_country": "US", "iin_funding": "credit"}
    iins(path, "400000,US,prepaid,")
    built.look()
    assert built.of_iin("40000012")["iin_funding"] == "prepaid"
    path.write_text("torn")
    built.look()
    assert (built.of_iin("400000")["iin_funding"], built.told[-1]) == ("prepaid", 1)
    with pytest.raises(ProviderFileMissing, match=r"^providers.iin.table: no such file; name one"):
        Built(tmp_path, iin={"table": "absent.csv"})
    assert "iin" not in {one.provider.name for one in Built(tmp_path, iin={}).providers.budgeted}


def test_the_table_of_before_is_let_go_a_look_later_and_what_serves_is_not(tmp_path: Path) -> None:
    path = iins(tmp_path / "iins.csv", "400000,US,credit,")
    built = Built(tmp_path, iin={"table": "iins.csv"})
    before = built.named("iin")._iins
    iins(path, "400000,US,prepaid,")
    built.look()
    assert before, "a batch may look into it still"
    built.look()
    assert not before
    assert built.of_iin("400000")["iin_funding"] == "prepaid"


def test_a_gateway_starts_with_a_torn_table_of_iins_and_says_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "iins.csv").write_text("torn")
    built = Built(tmp_path, iin={"table": "iins.csv"})
    assert (built.of_iin("400000"), built.named("iin").lacking) == ({}, "unavailable")
    iins(tmp_path / "iins.csv", "400000,US,credit,")
    built.look()
    assert built.named("iin").lacking == ""


@pytest.mark.parametrize(
    ("line", "where"),
    [
        ("providers: {network: {countries: x}}", "providers.network.countries"),
        ("providers: {contact: {budget_us: 50}}", "providers.contact.budget_us"),
        ("providers: {others: [{name: Bad-Name}]}", "providers.others.0.name"),
        ("providers: {others: [{name: a, budget_ms: 26}]}", "providers.others.0.budget_ms"),
        ("providers: {weather: {}}", "providers.weather"),
    ],
)
def test_a_setting_at_fault_is_named_without_its_value(line: str, where: str, tmp_path: Path) -> None:
    path = tmp_path / "ein.yaml"
    path.write_text(f"state_dir: var\nissuer_url: http://127.0.0.1:1\n{line}\n")
    with pytest.raises(SettingsInvalid) as refused:
        load_settings(path)
    assert f"{where}:" in refused.value.public


@pytest.fixture(autouse=True)
def logs(monkeypatch: pytest.MonkeyPatch) -> None:
    plain_logs(build, monkeypatch)
