"""Networks: databases in MaxMind's format (their test data, read in place), and the operator's lists."""

from collections import Counter
from pathlib import Path
from typing import Any

import maxminddb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrichment.providers.network import FILLS, HIDINGS, NETWORKS_CACHED, LocalList, Lookup, Network, Sources
from tests.unit.providers.columns import columns, one

DATA = Path(__file__).resolve().parents[4] / "shared" / "data" / "geoip"
COUNTRY, ASN, ANONYMITY = (
    "GeoIP2-Country-Test.mmdb", "GeoLite2-ASN-Test.mmdb", "GeoIP2-Anonymous-IP-Test.mmdb",
)  # fmt: skip


def lookup(name: str) -> Lookup:
    if not (DATA / name).exists():
        pytest.skip(f"{DATA / name} is not there: MaxMind's test databases are read in place")
    return maxminddb.open_database(DATA / name).get_with_prefix_len


@pytest.fixture
def network() -> Network:
    return Network(sources=Sources(country=lookup(COUNTRY), asn=lookup(ASN), anonymity=lookup(ANONYMITY)))


# MaxMind documents its test data: MaxMind-DB, source-data.
@pytest.mark.parametrize(
    ("ip", "expected"),
    [
        ("81.2.69.142", {"ip_country": "GB", "ip_anonymised": "tor"}),
        ("89.160.20.112", {"ip_country": "SE", "ip_anonymised": "none"}),
        ("216.160.83.56", {"ip_country": "US", "ip_asn": 209, "ip_anonymised": "none"}),
        ("1.128.0.1", {"ip_asn": 1221, "ip_anonymised": "none"}),
        ("2001:218::1", {"ip_country": "JP", "ip_anonymised": "none"}),
        ("1.2.0.1", {"ip_anonymised": "vpn"}),
        ("65.0.0.1", {"ip_anonymised": "tor"}),
        ("71.160.223.1", {"ip_anonymised": "hosting"}),
        ("186.30.236.1", {"ip_anonymised": "proxy"}),
        ("10.0.0.1", {}),
        ("192.0.2.1", {}),
        ("", {}),
    ],
)
def test_an_address_has_what_the_databases_say(network: Network, ip: str, expected: dict[str, Any]) -> None:
    for _ in range(2):  # the second time from what is kept
        found = one(network, ip=ip)
        assert {**found, **expected} == found
        assert found.get("ip_anonymised") == expected.get("ip_anonymised")


def test_what_is_kept_for_a_network_is_what_each_of_its_addresses_has() -> None:
    """All addresses at the edges of every network of the databases, in one order and the other."""
    names = {"country": COUNTRY, "asn": ASN, "anonymity": ANONYMITY}
    readers = {name: lookup(file) for name, file in names.items()}
    addresses = []
    for file in names.values():
        for prefix, _ in maxminddb.open_database(DATA / file):
            if prefix.version == 4:
                edges = (0, 1, 255, prefix.num_addresses - 1)
                addresses += [str(prefix.network_address + edge) for edge in edges]
    assert len(addresses) > 1_000
    alone = [Sources(**readers).look(ip) for ip in addresses]
    for order in (1, -1):
        kept = Network(sources=Sources(**readers))
        found = kept.fetch(columns(ip=addresses[::order]))
        rows = list(zip(*[found[name] for name in FILLS], strict=True))
        assert rows == alone[::order]


def test_answers_kept_are_bounded() -> None:
    sources = Sources(local=LocalList([("0.0.0.0/0", "vpn")]))
    for number in range(NETWORKS_CACHED + 10):
        sources.look(f"20.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(sources.answers) <= NETWORKS_CACHED


def test_a_list_of_the_operators_goes_before_the_database_and_the_longest_prefix_first() -> None:
    local = LocalList(
        [("1.2.0.0/16", "none"), ("1.2.3.0/24", "tor"), ("1.2.3.7/32", "proxy"), ("2600::/16", "hosting")]
    )
    network = Network(["ip_anonymised"], Sources(anonymity=lookup(ANONYMITY), local=local))
    told = {ip: one(network, ip=ip).get("ip_anonymised") for ip in (
        "1.2.0.1", "1.2.3.6", "1.2.3.7", "2600::1", "65.0.0.1", "89.160.20.112", "1.2.3.8",
    )}  # fmt: skip
    assert told == {
        "1.2.0.1": "none", "1.2.3.6": "tor", "1.2.3.7": "proxy", "2600::1": "hosting", "65.0.0.1": "tor",
        "89.160.20.112": "none", "1.2.3.8": "tor",
    }  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 2**16 - 1), st.integers(16, 32)), max_size=20), st.data())
def test_a_list_says_what_a_look_at_every_entry_says(
    entries: list[tuple[int, int]], data: st.DataObject
) -> None:
    import ipaddress

    networks = [ipaddress.ip_network((20 << 24 | low << 8, bits), strict=False) for low, bits in entries]
    by_network = {network: HIDINGS[at % len(HIDINGS)] for at, network in enumerate(networks)}
    local = LocalList((str(network), value) for network, value in by_network.items())
    address = ipaddress.ip_address(20 << 24 | data.draw(st.integers(0, 2**24 - 1)))
    if networks:
        inside = data.draw(st.sampled_from([None, *networks]))
        if inside is not None:
            address = inside.network_address + inside.num_addresses // 2
    having = [network for network in by_network if address in network]
    expected = by_network[max(having, key=lambda one: one.prefixlen)] if having else None
    assert local.find(str(address)) == expected


def test_an_entry_that_is_no_network_is_told_by_its_number_alone() -> None:
    with pytest.raises(ValueError, match=r"^entry 2 is no network: write 192.0.2.0/24$"):
        LocalList([("192.0.2.0/24", "tor"), ("secret.example", "tor")])


def test_a_database_of_ipv4_alone_says_nothing_of_ipv6() -> None:
    def of_ipv4(ip: str) -> tuple[Any, int]:
        if ":" in ip:
            raise ValueError("an IPv6 address in a database of IPv4")
        return {"country": {"iso_code": "DE"}}, 24

    network = Network(["ip_country"], Sources(country=of_ipv4))
    assert one(network, ip="2001:218::1") == {}
    assert one(network, ip="81.2.69.142") == {"ip_country": "DE"}


@pytest.mark.parametrize(
    "record",
    [
        None,
        3,
        {},
        {"country": None},
        {"country": {"iso_code": 7}},
        {"country": {"iso_code": "DEU"}},
        {"country": {"iso_code": []}},
    ],
)
def test_a_record_of_another_shape_says_nothing(record: Any) -> None:
    network = Network(["ip_country"], Sources(country=lambda ip: (record, 24)))
    assert one(network, ip="81.2.69.142") == {}


def test_an_address_is_looked_up_once_a_network_of_256() -> None:
    asked: Counter[str] = Counter()

    def country(ip: str) -> tuple[Any, int]:
        asked[ip] += 1
        return {"country": {"iso_code": "DE"}}, 20

    network = Network(["ip_country"], Sources(country=country))
    network.fetch(columns(ip=[f"81.2.69.{last}" for last in range(200)]))
    assert asked == {"81.2.69.0": 1}
