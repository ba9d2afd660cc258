"""The providers of an installation: made from its settings, with the files and threads that they need."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import structlog

from enrichment.provider import UNAVAILABLE, Provider
from enrichment.providers.amounts import Amounts
from enrichment.providers.authentication import Authentication
from enrichment.providers.card_testing import CardTesting
from enrichment.providers.contact import Contact
from enrichment.providers.device import DeviceContinuity
from enrichment.providers.iin import Iin
from enrichment.providers.merchant import Merchant
from enrichment.providers.network import FILLS, HIDINGS, LocalList, Lookup, Network, Sources
from gateway.runtime.tasks import Stop
from gateway.server.providers.beside import ThreadBeside
from gateway.server.providers.entry_points import load_others
from gateway.server.providers.files import (
    FileRefused,
    Followed,
    ProviderFileMissing,
    read_database,
    read_iins,
    read_networks,
    read_rates,
)
from gateway.server.providers.memory import (
    MEMORY_INTERVAL_S,
    MemoryUnusable,
    read_memory,
    remembering,
    write_memory,
)
from gateway.server.providers.settings import NetworkSettings, ProvidersSettings
from gateway.sharing.fetch import Budgeted

FOLLOW_INTERVAL_S: Final = 1.0
"""Two looks make a change: a file that was replaced is in use two seconds later."""

_log = structlog.get_logger("gateway")

_Records = Callable[[Any], bool]


def _of(member: str) -> _Records:
    return lambda record: isinstance(record, dict) and member in record


_FIELDS: Final = {"country": "ip_country", "asn": "ip_asn", "anonymity": "ip_anonymised"}

_DATABASES: Final[dict[str, _Records]] = {
    "country": _of("country"),
    "asn": _of("autonomous_system_number"),
    "anonymity": _of("is_anonymous"),
}
"""Setting of a database, and whether a record has what the database is for."""


class _NetworkFiles:
    """The databases and lists that a network provider looks addresses up in."""

    def __init__(self, settings: NetworkSettings, *, folder: Path, copies: Path) -> None:
        def reader(has: _Records) -> Callable[[Path], Lookup]:
            return lambda path: read_database(path, folder=copies, has=has)

        self.databases: dict[str, Followed[Lookup]] = {}
        self.lists: dict[str, Followed[tuple[str, ...]]] = {}
        for name, has in _DATABASES.items():
            path = getattr(settings, name)
            if path is not None:
                self.databases[name] = Followed(_there(folder, path, f"network.{name}"), reader(has))
        for name in HIDINGS:
            path = getattr(settings.lists, name)
            if path is not None:
                self.lists[name] = Followed(_there(folder, path, f"network.lists.{name}"), read_networks)
        named = {_FIELDS[name] for name in self.databases} | ({"ip_anonymised"} if self.lists else set())
        self.provider = Network([name for name in FILLS if name in named])

    @property
    def files(self) -> Iterator[Followed[Any]]:
        yield from self.databases.values()
        yield from self.lists.values()

    def use(self) -> None:
        """Hands over what was read last. A database that was never read is what the provider lacks."""
        values = {name: followed.value for name, followed in self.databases.items()}
        entries = (
            (network, name) for name, followed in self.lists.items() for network in followed.value or ()
        )
        lacking = UNAVAILABLE if any(one.value is None for one in self.files) else ""
        self.provider.use(Sources(**values, local=LocalList(entries), lacking=lacking))


class _TableFile:
    """The one table of a provider, which takes it whole."""

    def __init__(self, provider: "_TakesTable", path: Path, read: Callable[[Path], dict[Any, Any]]) -> None:
        self.provider = provider
        self._table: Followed[dict[Any, Any]] = Followed(path, read)

    @property
    def files(self) -> Iterator[Followed[Any]]:
        yield self._table

    def use(self) -> None:
        """Hands over what was read last, if anything ever was."""
        if self._table.value is not None:
            self.provider.use(self._table.value)


class _TakesTable(Protocol):
    @property
    def name(self) -> str: ...

    def use(self, table: Any, /) -> None: ...


def _there(folder: Path, path: Path, setting: str) -> Path:
    """The path. A wrong name shows at the first start; what breaks later keeps no gateway from starting."""
    found = folder / path
    if not found.is_file():
        raise ProviderFileMissing(f"providers.{setting}: no such file; name one, or leave the setting out")
    return found


@dataclass(slots=True)
class Providers:
    """All that are asked."""

    budgeted: list[Budgeted]
    followed: "list[_NetworkFiles | _TableFile]"
    threads: list[ThreadBeside]
    memory: Path | None
    tell: Callable[[int], None] = lambda refused: None
    """Takes how many files cannot be used as they are."""

    def follow(self, stop: Stop) -> None:
        """On a thread of its own."""
        rounds = 0
        while not stop.wait(FOLLOW_INTERVAL_S):
            self.step()
            rounds += 1
            if rounds * FOLLOW_INTERVAL_S >= MEMORY_INTERVAL_S:
                rounds = 0
                self.remember()

    def _ours(self) -> list[Provider]:
        return [one.provider for one in self.budgeted if one.beside is None]

    def remember(self) -> None:
        """Writes down what the providers remember."""
        if self.memory is None:
            return
        try:
            write_memory(self.memory, remembering(self._ours()))
        except OSError as fault:
            # The next round writes all of it.
            _log.error("provider_memory_failed", errno=fault.errno)

    def recall(self) -> None:
        """Takes up what was written down."""
        if self.memory is None:
            return
        try:
            read_memory(self.memory, remembering(self._ours()))
        except MemoryUnusable as refused:
            _log.error(refused.code, public=refused.public)

    def step(self) -> None:
        """One look at every file."""
        for one in self.followed:
            changed = False
            for file in one.files:
                try:
                    changed |= file.look()
                except FileRefused as refused:
                    _log.error(refused.code, provider=one.provider.name, public=refused.public)
            if changed:
                one.use()
                _log.info("provider_file_taken", provider=one.provider.name)
        self.tell(sum(file.refused for one in self.followed for file in one.files))

    def close(self) -> None:
        """Once the hot loop has ended: writes down what they remember, and ends their threads."""
        self.remember()
        for thread in self.threads:
            thread.close()


def build_providers(
    settings: ProvidersSettings, *, folder: Path, copies: Path, memory: Path | None = None
) -> Providers:
    """Makes them. `folder`: what paths are relative to; `copies`: where copies of databases are made;
    `memory`: the file of what they remember; None: they begin anew, and nothing is written down.

    Raises GatewayError where a setting names what is not there, or a provider cannot be used.
    """
    found = Providers([], [], [], memory)

    def add(provider: Provider, budget_us: int) -> None:
        found.budgeted.append(Budgeted(provider, budget_us))

    network, merchant = settings.network, settings.merchant
    if network.enabled:
        files = _NetworkFiles(network, folder=folder, copies=copies)
        if files.provider.gives:
            found.followed.append(files)
            add(files.provider, network.budget_us)
    if merchant.enabled:
        merchants = Merchant(rates_named=merchant.rates is not None)
        add(merchants, merchant.budget_us)
        if merchant.rates is not None:
            path = _there(folder, merchant.rates, "merchant.rates")
            found.followed.append(_TableFile(merchants, path, read_rates))
    if settings.iin.enabled and settings.iin.table is not None:
        iin = Iin()
        add(iin, settings.iin.budget_us)
        path = _there(folder, settings.iin.table, "iin.table")
        found.followed.append(_TableFile(iin, path, read_iins))
    for named, make in (
        (settings.contact, Contact),
        (settings.device, DeviceContinuity),
        (settings.amounts, Amounts),
        (settings.authentication, Authentication),
        (settings.card_testing, CardTesting),
    ):
        if named.enabled:
            add(make(), named.budget_us)
    _read_first(found)
    found.recall()
    taken = {field: one.provider.name for one in found.budgeted for field in one.provider.gives}
    for other, provider in load_others(settings.others, taken):
        thread = ThreadBeside(provider)
        found.threads.append(thread)
        found.budgeted.append(Budgeted(provider, other.budget_ms * 1_000, thread))
    _log.info("providers", asked=[f"{one.provider.name} {one.provider.version}" for one in found.budgeted])
    return found


def _read_first(found: Providers) -> None:
    for one in found.followed:
        for file in one.files:
            try:
                file.first()
            except FileRefused as refused:
                _log.error(refused.code, provider=one.provider.name, public=refused.public)
        one.use()
