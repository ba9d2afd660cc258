"""The network that a payment comes from: country, provider, and whether the address hides whose it is."""

import ipaddress
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from enrichment.codes import COUNTRIES
from enrichment.payment import JsonValue
from enrichment.provider import UNAVAILABLE, Columns
from enrichment.quality import ip_is_public

Lookup = Callable[[str], tuple[Any, int]]
"""An address to its record in a database and the length of the prefix that the record is for."""

NETWORKS_CACHED: Final = 65_536
"""Networks of 256 addresses whose answer is kept: 16 MB, and a look-up takes thirty times as long."""

LIST_ENTRIES_MAX: Final = 500_000
"""Of all local lists together: 100 MB."""

HIDINGS: Final = ("none", "vpn", "proxy", "tor", "hosting")
"""Values of `ip_anonymised`."""

FILLS: Final = ("ip_country", "ip_asn", "ip_anonymised")
"""In the order of `Answer`."""

# Members of a record of the Anonymous IP database, the most telling first.
_MARKS: Final = (
    ("is_tor_exit_node", "tor"),
    ("is_anonymous_vpn", "vpn"),
    ("is_public_proxy", "proxy"),
    ("is_residential_proxy", "proxy"),
    ("is_hosting_provider", "hosting"),
    ("is_anonymous", "proxy"),
)

Answer = tuple[str | None, int | None, str | None]
"""Country, autonomous system, hiding."""

_ASN_MAX: Final = 2**32 - 1  # RFC 6793

_NO_ANSWER: Final[Answer] = (None, None, None)


class LocalList:
    """Networks that the operator says something of. The longest prefix that has an address speaks for it."""

    __slots__ = ("_by_length", "_longest")

    def __init__(self, entries: Iterable[tuple[str, str]] = ()) -> None:
        """(network, value). Raises ValueError where one is no network; the text has none of it."""
        self._by_length: dict[tuple[int, int], dict[int, str]] = {}
        for number, (text, value) in enumerate(entries):
            if number >= LIST_ENTRIES_MAX:
                raise ValueError(f"more than {LIST_ENTRIES_MAX} networks")
            try:
                network = ipaddress.ip_network(text, strict=False)
            except ValueError:
                raise ValueError(f"entry {number + 1} is no network: write 192.0.2.0/24") from None
            shift = network.max_prefixlen - network.prefixlen
            of_length = self._by_length.setdefault((network.version, network.prefixlen), {})
            of_length[int(network.network_address) >> shift] = value
        self._longest = sorted(self._by_length, reverse=True)

    def __bool__(self) -> bool:
        return bool(self._longest)

    @property
    def finest(self) -> int:
        """Longest prefix of IPv4."""
        return max((length for version, length in self._longest if version == 4), default=0)

    def find(self, ip: str) -> str | None:
        """What is said of an address; None where nothing is."""
        address = ipaddress.ip_address(ip)
        number, version, bits = int(address), address.version, address.max_prefixlen
        for one in self._longest:
            if one[0] == version:
                value = self._by_length[one].get(number >> bits - one[1])
                if value is not None:
                    return value
        return None


class Sources:
    """What addresses are looked up in, for good: a change makes another. None: no such database."""

    __slots__ = ("answers", "asn", "country", "hiding", "lacking", "local")

    def __init__(
        self,
        *,
        country: Lookup | None = None,
        asn: Lookup | None = None,
        anonymity: Lookup | None = None,
        local: LocalList | None = None,
        lacking: str = "",
    ) -> None:
        self.country, self.asn, self.hiding = country, asn, anonymity
        self.local = local or LocalList()
        self.lacking = lacking
        self.answers: dict[str, Answer] = {}

    def look(self, ip: str) -> Answer:
        """The answer, kept for the whole network of 256 addresses where nothing finer is known of it."""
        if not ip_is_public(ip):
            return _NO_ANSWER
        try:
            country, of_country = _country(self.country, ip)
            asn, of_asn = _asn(self.asn, ip)
            hiding, of_hiding = _hiding(self.hiding, ip)
        except ValueError:  # a database of IPv4 alone
            return _NO_ANSWER
        finest = max(of_country, of_asn, of_hiding, self.local.finest)
        if self.local:
            hiding = self.local.find(ip) or hiding
        answer = country, asn, hiding
        if len(self.answers) >= NETWORKS_CACHED:
            self.answers.clear()
        self.answers[ip.rpartition(".")[0] if finest <= 24 and "." in ip else ip] = answer
        return answer


def _country(lookup: Lookup | None, ip: str) -> tuple[str | None, int]:
    if lookup is None:
        return None, 0
    record, prefix = lookup(ip)
    country = record.get("country") if type(record) is dict else None
    code = country.get("iso_code") if type(country) is dict else None
    return code if type(code) is str and code in COUNTRIES else None, prefix


def _asn(lookup: Lookup | None, ip: str) -> tuple[int | None, int]:
    if lookup is None:
        return None, 0
    record, prefix = lookup(ip)
    number = record.get("autonomous_system_number") if type(record) is dict else None
    return number if type(number) is int and 0 <= number <= _ASN_MAX else None, prefix


def _hiding(lookup: Lookup | None, ip: str) -> tuple[str | None, int]:
    if lookup is None:
        return None, 0
    record, prefix = lookup(ip)
    if type(record) is dict:
        for mark, value in _MARKS:
            if record.get(mark) is True:
                return value, prefix
    return "none", prefix


class Network:
    """`ip_country`, `ip_asn`, `ip_anonymised`. `use` replaces what is looked up in between two batches.

    Addresses that are not of the open internet have none of them.
    """

    name = "network"
    version = "1"
    wants = ("ip",)

    __slots__ = ("_sources", "gives")

    def __init__(self, gives: Sequence[str] = FILLS, sources: Sources | None = None) -> None:
        """`gives`: of `FILLS`, what there is a database or list for."""
        self.gives = tuple(gives)
        self._sources = sources or Sources(lacking=UNAVAILABLE)

    @property
    def lacking(self) -> str:
        """As the port says: a database that cannot be read."""
        return self._sources.lacking

    def use(self, sources: Sources) -> None:
        """Takes other sources; what was kept of the old ones goes with them."""
        self._sources = sources

    def fetch(self, batch: Columns) -> Mapping[str, Sequence[JsonValue]]:
        """As the port says."""
        sources = self._sources
        answers, look = sources.answers, sources.look
        found: list[Answer] = []
        for ip in batch["ip"]:
            if not ip:
                found.append(_NO_ANSWER)
                continue
            answer = answers.get(ip.rpartition(".")[0]) if "." in ip else None
            found.append(answer or answers.get(ip) or look(ip))
        columns = dict(zip(FILLS, zip(*found, strict=True), strict=False))
        return {name: columns[name] for name in self.gives}
