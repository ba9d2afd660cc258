from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from simulator.messages import enrich_request
from simulator.payments import TraceNumbers
from simulator.replay import DEFAULT_MAPPING, PLATFORM_ID, MappingInvalid, ReplayStream, check_mapping

ROOT = Path(__file__).resolve().parents[3]
DATA = ROOT.parent / "shared" / "data" / "payments_90d.parquet"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    table = pa.table(
        {
            "payment_id": ["a", "b", "c"],
            "when": [1_735_689_636_158, 1_735_689_663_566, 1_735_689_669_613],
            "pan": ["9010010158835080", "9090090917591813", "9010010158835080"],
            "amount_minor": [1_000, 2_000, 3_000],
            "currency": ["USD", "USD", "USD"],
            "merchant_id": ["x", "y", "x"],
            "channel": ["ecom", "pos", "ecom"],
            "is_fraud": [False, False, True],
            "fraud_reported_at_ms": [None, None, 1_736_000_000_000],
        }
    )
    path = tmp_path / "payments.parquet"
    pq.write_table(table, path)
    return path


def stream(file: Path, *, limit: int | None = None) -> ReplayStream:
    return ReplayStream(file, TraceNumbers(), seed=1, limit=limit, mapping={"at_ms": "when"})


def test_rows_become_payments_with_what_the_file_does_not_hold(file: Path) -> None:
    first, at_terminal, fraud = stream(file)
    assert first.device_id
    assert first.ip
    assert first.card.email
    assert not at_terminal.device_id
    assert not at_terminal.ip
    assert fraud.fraud
    assert fraud.reported_at_ms == 1_736_000_000_000
    assert first.card is fraud.card
    request = enrich_request(first)
    assert request.platform_id == PLATFORM_ID
    assert request.merchant.mcc == "5999"


def test_a_limit_ends_the_stream(file: Path) -> None:
    limited = stream(file, limit=2)
    assert limited.payments == 2
    assert [payment.payment_id for payment in limited] == ["a", "b"]


def test_every_fault_of_a_mapping_is_told_at_once() -> None:
    with pytest.raises(MappingInvalid) as refused:
        check_mapping({"colour": "c", "pan": "card"}, list(DEFAULT_MAPPING.values()))
    assert "colour" in str(refused.value)
    assert "card" in str(refused.value)


def test_the_reference_page_names_every_field_and_its_column() -> None:
    page = (ROOT / "docs" / "reference" / "replay.md").read_text()
    for field, column in DEFAULT_MAPPING.items():
        assert f"| `{field}` | `{column}` |" in page


@pytest.mark.skipif(not DATA.exists(), reason="needs ../shared/data/payments_90d.parquet, which is not there")
def test_the_data_set_is_read_with_no_mapping_at_all() -> None:
    payments = list(ReplayStream(DATA, TraceNumbers(), seed=1, limit=3_000))
    assert len({payment.payment_id for payment in payments}) == 3_000
    assert all(payment.at_ms for payment in payments)
    assert any(payment.fraud and payment.reported_at_ms > payment.at_ms for payment in payments)
