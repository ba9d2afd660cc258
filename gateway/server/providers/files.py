"""Files that are followed while the gateway runs: each state of them is taken once, when it stands still."""

import csv
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import maxminddb

from enrichment.codes import COUNTRIES
from enrichment.fields import FIELD_BY_NAME
from enrichment.providers.iin import IIN_DIGITS, Entry, Iin, Iins
from enrichment.providers.merchant import Rates, rate_bp
from enrichment.providers.network import LocalList, Lookup
from enrichment.shape_check import check_of
from gateway.records.errors import GatewayError
from gateway.runtime.busy import busy, let_go

DATABASE_BYTES_MAX: Final = 1 << 30
"""The largest databases that are sold have half of it."""

RATES_MAX: Final = 1_000_000
"""Merchants in a table of rates: 250 MB."""

TEXT_BYTES_MAX: Final = 256 << 20
"""Of a list or a table in text: a million lines have 50 MB."""

RECORDS_LOOKED_AT: Final = 1_000
"""Records of a new database that are looked at for what it is named for: the first have it, or none."""

RATE_COLUMNS: Final = ("sender_id", "merchant_id", "payments", "frauds", "disputes")

IINS_MAX: Final = 1_000_000
"""Entries in a table of IINs, each one of a range among them: 95 MB, where most say the same."""

IIN_COLUMNS: Final = ("iin", "country", "funding", "product")

T = TypeVar("T")


class FileRefused(GatewayError):
    """A file of a provider cannot be used. The text has no line of it."""

    code = "provider_file_refused"


class ProviderFileMissing(GatewayError):
    """A setting names a file that is not there."""

    code = "settings_invalid"


_Stamp = tuple[int, int, int]


class Followed(Generic[T]):
    """A file and what was last read of it. A state that cannot be read leaves the last good one in force."""

    def __init__(self, path: Path, read: Callable[[Path], T]) -> None:
        self.path = path
        self._read = read
        self._taken: _Stamp | None = None
        self._seen: _Stamp | None = None
        self.value: T | None = None
        self._left: T | None = None
        """What was read before, until the next look: a batch may look into it still."""
        self.refused = False
        """Whether the file as it is now cannot be used."""

    def first(self) -> None:
        """Reads it now. Raises FileRefused."""
        self._taken = self._stamp()
        self._take()

    def look(self) -> bool:
        """Whether there is another value now. Raises FileRefused, once a state."""
        if isinstance(self._left, dict):
            let_go(self._left)
        self._left = None
        stamp = self._stamp()
        still, self._seen = stamp is not None and stamp == self._seen, stamp
        if not still or stamp == self._taken:
            return False
        self._taken = stamp
        self._take()
        return True

    def _take(self) -> None:
        self.refused = True
        try:
            with busy():
                self._left, self.value = self.value, self._read(self.path)
        except OSError:
            raise FileRefused(f"{self.path.name}: cannot be read; check its owner and mode") from None
        self.refused = False

    def _stamp(self) -> _Stamp | None:
        try:
            status = os.stat(self.path)
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino


def read_database(path: Path, *, folder: Path, has: Callable[[Any], bool]) -> Lookup:
    """Look-ups in a database of MaxMind's format, in a copy of our own: one that is written over in place
    would end this process, which has it mapped. `has`: whether a record holds what it is for."""
    if path.stat().st_size > DATABASE_BYTES_MAX:
        raise FileRefused(f"{path.name}: larger than {DATABASE_BYTES_MAX} bytes")
    with tempfile.NamedTemporaryFile(dir=folder, prefix="database-") as copy:
        with path.open("rb") as source:
            shutil.copyfileobj(source, copy)
        copy.flush()
        try:
            reader = maxminddb.open_database(copy.name)
            known = any(has(record) for _, record in islice(reader, RECORDS_LOOKED_AT))
        except (maxminddb.InvalidDatabaseError, ValueError):
            raise FileRefused(f"{path.name}: no whole database in MaxMind's format; copy it again") from None
    if not known:
        raise FileRefused(f"{path.name}: a database of something else; its setting says what it is to hold")
    return reader.get_with_prefix_len


def read_networks(path: Path) -> tuple[str, ...]:
    """Networks of a list. Raises FileRefused with the number of the line at fault."""
    found = []
    for number, line in enumerate(_lines(path), start=1):
        network = line.partition("#")[0].strip()
        if not network:
            continue
        try:
            LocalList([(network, "")])
        except ValueError:
            raise FileRefused(f"{path.name}: line {number} is no network; write 192.0.2.0/24") from None
        found.append(network)
    return tuple(found)


def read_rates(path: Path) -> Rates:
    """Rates by sender and merchant. Raises FileRefused with the number of the row at fault."""
    rates: dict[tuple[str, str], tuple[int | None, int | None]] = {}
    for number, row in enumerate(_rows(path, RATE_COLUMNS), start=1):
        if number > RATES_MAX:
            raise FileRefused(f"{path.name}: more than {RATES_MAX} rows")
        try:
            sender_id, merchant_id, *counts = row
            payments, frauds, disputes = (None if one in (None, "") else int(one) for one in counts)
        except (ValueError, TypeError):
            raise FileRefused(f"{path.name}: row {number}: counts must be whole numbers") from None
        if payments is None or not all(0 <= one <= payments for one in (frauds, disputes) if one is not None):
            raise FileRefused(f"{path.name}: row {number}: more events than payments, or no payments")
        if (sender_id, merchant_id) in rates:
            raise FileRefused(f"{path.name}: row {number}: a merchant that an earlier row has")
        rates[sender_id, merchant_id] = (
            None if frauds is None else rate_bp(frauds, payments),
            None if disputes is None else rate_bp(disputes, payments),
        )
    return rates


def read_iins(path: Path) -> Iins:
    """What a table has of leading digits. Raises FileRefused with the number of the row at fault."""
    iins: dict[str, Entry] = {}
    entries: dict[Entry, Entry] = {}
    """One object for all that are alike: of a table, most are."""
    for number, (digits, *values) in enumerate(_rows(path, IIN_COLUMNS), start=1):

        def refuse(why: str, number: int = number) -> FileRefused:
            return FileRefused(f"{path.name}: row {number}: {why}")

        country, funding, product = (None if one in (None, "") else one for one in values)
        for name, value in zip(Iin.gives, (country, funding, product), strict=True):
            if value is not None and not check_of(name)(value):
                raise refuse(f"{name.removeprefix('iin_')} must be {FIELD_BY_NAME[name].shape.words}")
        if country is not None and country not in COUNTRIES:
            raise refuse("country is not assigned in ISO 3166-1 alpha-2")
        first, hyphen, last = digits.partition("-") if isinstance(digits, str) else ("", "", "")
        last = last if hyphen else first
        if not (_is_iin(first) and _is_iin(last) and len(first) == len(last) and first <= last):
            raise refuse("iin must be 6 to 8 digits, or two of them with a hyphen, of one length")
        if len(iins) + int(last) - int(first) >= IINS_MAX:
            raise FileRefused(f"{path.name}: more than {IINS_MAX} entries, with all that ranges have")
        entry = entries.setdefault((country, funding, product), (country, funding, product))
        for one in range(int(first), int(last) + 1):
            iin = f"{one:0{len(first)}d}"
            if iin in iins:
                raise refuse("an IIN that an earlier row has")
            iins[iin] = entry
    return iins


def _is_iin(text: str) -> bool:
    fewest, most = IIN_DIGITS
    return fewest <= len(text) <= most and text.isascii() and text.isdecimal()


def _rows(path: Path, columns: Sequence[str]) -> Iterator[Iterable[Any]]:
    """Values of these columns, of a table in CSV or Parquet."""
    return _parquet_rows(path, columns) if path.suffix == ".parquet" else _csv_rows(path, columns)


def _lines(path: Path) -> Iterator[str]:
    if path.stat().st_size > TEXT_BYTES_MAX:
        raise FileRefused(f"{path.name}: larger than {TEXT_BYTES_MAX} bytes")
    with path.open(encoding="utf-8", newline="") as file:
        try:
            yield from file
        except UnicodeDecodeError:
            raise FileRefused(f"{path.name}: not text in UTF-8") from None


def _csv_rows(path: Path, columns: Sequence[str]) -> Iterator[Iterable[str]]:
    reader = csv.DictReader(_lines(path))
    try:
        _check_columns(path, columns, reader.fieldnames or ())
        for number, row in enumerate(reader, start=1):
            if None in row or None in row.values():
                raise FileRefused(f"{path.name}: row {number}: not as many columns as the first line has")
            yield [row[name] for name in columns]
    except csv.Error:
        raise FileRefused(f"{path.name}: row {reader.line_num}: not readable as CSV") from None


def _parquet_rows(path: Path, columns: Sequence[str]) -> Iterator[Iterable[Any]]:
    # Only where such a file is named: it takes 50 MB and a third of a second.
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        _check_columns(path, columns, file.schema_arrow.names)
        for batch in file.iter_batches(columns=list(columns)):
            yield from zip(*[batch.column(name).to_pylist() for name in columns], strict=True)
    except pa.ArrowException:
        raise FileRefused(f"{path.name}: not readable as Parquet") from None


def _check_columns(path: Path, columns: Sequence[str], names: Iterable[str]) -> None:
    if not set(columns) <= set(names):
        raise FileRefused(f"{path.name}: the columns must be {', '.join(columns)}")
