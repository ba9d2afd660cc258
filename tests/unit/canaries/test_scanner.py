"""The scanner finds a leak in each form and each kind of sink; what it cannot find it cannot vouch for."""

import base64
import gzip
import hashlib
import json
import sqlite3
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from tests.canaries import scan_bytes, scan_tree

CANARIES = {
    "email": "canary.ada@mail.example",
    "ip": "203.0.113.177",
    "pan": "9010010158835080",
    "device": "canary-device-0001",
}

ENCODINGS = {
    "plain": lambda raw: raw,
    "base64": base64.b64encode,
    "base64url": lambda raw: base64.urlsafe_b64encode(raw).rstrip(b"="),
    "hex": lambda raw: raw.hex().encode(),
    "sha256": lambda raw: hashlib.sha256(raw).hexdigest().encode(),
    "sha256 raw": lambda raw: hashlib.sha256(raw).digest(),
    "sha256 base64": lambda raw: base64.b64encode(hashlib.sha256(raw).digest()),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("canary", CANARIES)
def test_each_form_is_found(canary: str, encoding: str) -> None:
    content = b"before " + ENCODINGS[encoding](CANARIES[canary].encode()) + b" after"
    assert [leak.canary for leak in scan_bytes("here", content, CANARIES)] == [canary]


@pytest.mark.parametrize("shift", range(4))
@pytest.mark.parametrize("canary", CANARIES)
def test_a_canary_inside_base64_of_something_larger_is_found_at_each_alignment(
    canary: str, shift: int
) -> None:
    token = base64.urlsafe_b64encode(b"x" * shift + json.dumps({"claim": CANARIES[canary]}).encode())
    assert any(leak.canary == canary for leak in scan_bytes("here", token, CANARIES))


def test_what_holds_no_canary_is_clean() -> None:
    assert scan_bytes("here", b"\0" * 4096 + b"nothing of the kind 9010010158835081", CANARIES) == []


def _plant(kind: str, root: Path) -> None:
    value = CANARIES["email"]
    if kind == "journal":
        (root / "00000000000000000000.seg").write_bytes(b"\x01\x02" + value.encode() + b"\xff")
    elif kind == "sqlite":
        with sqlite3.connect(root / "state.sqlite3") as database:
            database.execute("create table t (v text)")
            database.execute("insert into t values (?)", (value,))
    elif kind == "parquet":
        table = pa.table({"v": [value] * 100, "n": list(range(100))})
        parquet.write_table(table, root / "lake.parquet", compression="zstd")
    elif kind == "gzip":
        (root / "old.log.gz").write_bytes(gzip.compress(value.encode()))
    elif kind == "log":
        (root / "gateway.log").write_text(json.dumps({"event": "odd", "detail": value}))
    elif kind == "file name":
        (root / f"{value}.json").write_text("{}")


@pytest.mark.parametrize("kind", ["journal", "sqlite", "parquet", "gzip", "log", "file name"])
def test_a_leak_planted_in_each_kind_of_sink_is_found(kind: str, tmp_path: Path) -> None:
    assert scan_tree(tmp_path, CANARIES) == []
    _plant(kind, tmp_path)
    assert any(leak.canary == "email" for leak in scan_tree(tmp_path, CANARIES))
