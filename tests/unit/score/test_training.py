"""Training: from what was known at the cut, on rows that serving makes too."""

import json
from pathlib import Path
from random import Random

import pytest

np = pytest.importorskip("numpy", reason="training needs numpy")
pytest.importorskip("lightgbm", reason="training needs lightgbm")

from enrichment.scoring.manifest import read_manifest, write_manifest  # noqa: E402
from gateway.backends.lightgbm.model import open_model, read_model  # noqa: E402
from gateway.backends.lightgbm.scorer import ModelScorer  # noqa: E402
from gateway.server.providers.build import build_providers  # noqa: E402
from gateway.server.providers.settings import ProvidersSettings  # noqa: E402
from gateway.sharing.fetch import Fetch  # noqa: E402
from simulator.parquet import write_payments  # noqa: E402
from simulator.payments import PaymentStream, TraceNumbers  # noqa: E402
from tests.prove.score import other_future  # noqa: E402
from tests.unit.sharing.kit import Kit  # noqa: E402
from training.data import read_payments  # noqa: E402
from training.figures import auc, ece  # noqa: E402
from training.labels import reported_within, weights  # noqa: E402
from training.served import Known, Recorder, rows_of  # noqa: E402
from training.train import cut_of, manifest_of, table_of, train, write_model  # noqa: E402

DAY_MS = 86_400_000
PAYMENTS = 4_000


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> list[Known]:
    path = tmp_path_factory.mktemp("simulated") / "payments.parquet"
    assert write_payments(path, 5, PaymentStream(5, PAYMENTS, TraceNumbers())) == PAYMENTS
    return list(read_payments(path))


def test_the_rows_of_training_are_those_that_the_gateway_is_served_with(
    known: list[Known], tmp_path: Path
) -> None:
    part = sorted(known, key=lambda one: one.at_ms)[:300]
    kit, recorder = Kit(), Recorder()
    providers = build_providers(ProvidersSettings(), folder=tmp_path, copies=tmp_path).budgeted
    kit.gateway._scorer = recorder
    kit.gateway._fetch = Fetch(kit.clock, kit.gateway.counting, providers, lambda stage, fault: None)
    # Another gateway, other keys and other batches, with a policy: the rows must not tell.
    for one in part:
        kit.clock.jump_wall_ms(max(0, one.at_ms - kit.clock.wall_ms()))
        kit.gateway.enrich([_item(one)], _tally())
    served = list(recorder.rows.values())
    trained = [row for _, row in rows_of(part)]
    assert len(served) == len(trained) == len(part)
    np.testing.assert_array_equal(np.array(served), np.array(trained))


def _item(one: Known):  # type: ignore[no-untyped-def]
    from gateway.sharing.items import Item

    return Item("shop", one.request)


def _tally():  # type: ignore[no-untyped-def]
    from gateway.sharing.items import Tally

    return Tally()


def test_another_future_leaves_the_model_as_it_is(known: list[Known]) -> None:
    table = table_of(known)
    cut_ms = cut_of(table)
    before = train(table, cut_ms)
    after = train(table_of(other_future(known, cut_ms)), cut_ms)
    assert before.fitted.text() == after.fitted.text()
    assert before.fitted.calibration == after.fitted.calibration
    assert before.figures != after.figures, "the future was another"


def test_another_past_does_change_the_model(known: list[Known]) -> None:
    """The same comparison, of something that must be seen: else it could see nothing."""
    table = table_of(known)
    cut_ms = cut_of(table)
    other = table_of(other_future(known, cut_ms - 10 * DAY_MS))
    assert train(table, cut_ms).fitted.text() != train(other, cut_ms).fitted.text()


def test_what_was_trained_is_served_with_the_same_probabilities(known: list[Known], tmp_path: Path) -> None:
    table = table_of(known)
    trained = train(table, cut_of(table))
    manifest = manifest_of(trained, "tried-1", "test")
    write_model(tmp_path, trained, manifest)
    model = open_model(read_model(tmp_path / "manifest.json"))
    assert read_manifest((tmp_path / "manifest.json").read_bytes()).probes
    rows = trained.judged.rows[:200]
    from ctypes import c_double

    buffer = (c_double * rows.size)(*rows.ravel())
    served = [model.normalised(raw) for raw in model.raw(buffer, len(rows))]
    assert served == [min(999, int(one * 1000)) for one in trained.fitted.probability(rows)]
    card = (tmp_path / "card.md").read_text()
    assert "# Model card: tried-1" in card
    assert "| this model | " in card
    assert json.loads(write_manifest(manifest))["trained_on"]["source"] == "test"
    scorer = ModelScorer(lambda stage, fault: None)
    scorer.serving = model


def test_the_share_that_is_reported_is_found_though_late_reports_are_not_seen() -> None:
    random = np.random.default_rng(3)
    ages = random.uniform(0, 60, 40_000)
    delays = random.exponential(20, 40_000)
    seen = delays <= ages
    found = reported_within(delays[seen], ages[seen], np.array([5.0, 10.0, 20.0, 40.0]))
    # What is longer than the oldest is never seen: shares are of what is reported within that.
    expected = (1 - np.exp(-np.array([5.0, 10.0, 20.0, 40.0]) / 20)) / (1 - np.exp(-60 / 20))
    np.testing.assert_allclose(found, expected, atol=0.02)


def test_the_weight_of_known_frauds_comes_to_all_frauds() -> None:
    random = np.random.default_rng(4)
    cut_ms = 60 * DAY_MS
    at_ms = random.integers(0, cut_ms, 50_000)
    fraud = random.random(50_000) < 0.05
    delay = (random.exponential(15, 50_000) * DAY_MS).astype(np.int64)
    reported = np.where(fraud, at_ms + delay, np.iinfo(np.int64).max)
    weighed, ripe = weights(cut_ms, at_ms, reported)
    known_fraud = (reported < cut_ms) & ripe
    assert weighed[known_fraud].sum() == pytest.approx(fraud[ripe].sum(), rel=0.08)
    assert known_fraud.sum() < 0.8 * fraud[ripe].sum()
    assert weighed[~known_fraud & ripe].max() == 1.0


def test_auc_and_calibration_error_are_what_they_are_by_hand() -> None:
    truth = np.array([0.0, 0.0, 1.0, 1.0])
    assert auc(np.array([1.0, 2.0, 3.0, 4.0]), truth) == 1.0
    assert auc(np.array([4.0, 3.0, 2.0, 1.0]), truth) == 0.0
    assert auc(np.array([1.0, 1.0, 1.0, 1.0]), truth) == 0.5
    assert auc(np.array([1.0, 3.0, 2.0, 4.0]), truth) == 0.75
    assert ece(np.array([0.5, 0.5, 0.5, 0.5]), truth, bins=1) == 0.0
    assert ece(np.array([0.1, 0.1, 0.9, 0.9]), truth, bins=2) == pytest.approx(0.1)


def test_a_file_of_payments_is_read_without_anything_made_up(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    random = Random(1)
    pq.write_table(
        pa.Table.from_pylist(
            [
                {
                    "payment_id": f"p{number}",
                    "occurred_at_ms": 1_740_000_000_000 + number * 60_000,
                    "pan": "9010010100000007", "amount_minor": random.randrange(100, 9_000),
                    "currency": "USD",
                    "merchant_id": "m", "mcc": 5411, "merchant_country": "US", "channel": "pos",
                    "cardholder_country": "US", "is_fraud": number == 3,
                    "fraud_reported_at_ms": 1_741_000_000_000 if number == 3 else None,
                }
                for number in range(5)
            ]
        ),
        tmp_path / "p.parquet",
    )  # fmt: skip
    table = table_of(read_payments(tmp_path / "p.parquet"))
    from enrichment.scoring.features import FEATURES

    named = {name: table.rows[:, at] for at, name in enumerate(FEATURES)}
    assert named["card_10m"].tolist() == [1, 2, 3, 4, 5]
    assert np.isnan(named["ip_10m"]).all()
    assert np.isnan(named["account_age_days"]).all()
    assert table.fraud.tolist() == [0, 0, 0, 1, 0]
