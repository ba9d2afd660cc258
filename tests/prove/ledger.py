"""The ledger: a million entries verify in under 10 s; at 1,000 payments/s it lags the journals by under 2 s,
and costs the hot path nothing.

The entries of the first are made by the code that makes them in service, from records like those of a payment
shared by message and by stream. The second runs gateway and feeds, and reads the ledger's own metric. For the
third two gateways take payments in turns, one of them with a ledger behind it and nothing else: compared is
what a payment takes of the gateway's processor, which is what the hot path pays.
"""

import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

from gateway.backends.embedded.ledger import SqliteLedgerStore
from gateway.ledger.collect import Collector
from gateway.ledger.runs import EDITED
from gateway.records.journal import DELIVERIES, EVALUATIONS, Entry
from gateway.server.feeds.ledger import HEAD_INTERVAL_MS
from issuernetwork.v1.common_pb2 import PURPOSE_FRAUD_AUTHORIZATION
from tests.kit.installation import Installation
from tests.kit.payments import payment
from tests.prove.open_loop import connect
from tests.unit.feeds.records import BASE_MS, decision, evaluation
from tests.unit.ledger.kit import CHAIN, SSF, Ledger, changed, delivery

VERIFY_LIMIT_S = 10.0
LAG_LIMIT_S = 2.0
COST_LIMIT = 1.05
"""Nothing, as well as two cores can tell: the ledger takes caches and turns of the same two."""

RATE_PER_S = 1_000
BATCH = 5_000
ENTRIES_A_SECOND = 2_000
"""Entries between two heads are as many as at 1,000 payments/s with two shares each."""

_ENRICH = "/issuernetwork.v1.EnrichmentService/EnrichAuthorization"


def _released(number: int) -> bytes:
    made = decision(f"mfzwizltmq4tqnrxgu2d{number:08d}", transports=(SSF,))
    made.enrolment_id, made.contract_id, made.consent_id = "northgate-risk", "contract-2026-11", "merchant-1"
    made.purpose, made.field_mask, made.dictionary_version = PURPOSE_FRAUD_AUTHORIZATION, 0b1011011, 1
    made.card_token, made.token_epoch, made.payload_sha256 = "ct_" + "x" * 32, 1, b"p" * 32
    return evaluation(number, made, decided_at_ms=BASE_MS + number).SerializeToString()


def _sent(number: int) -> bytes:
    record = delivery(number)
    record.share_id = record.jti = f"mfzwizltmq4tqnrxgu2d{number:08d}"
    return record.SerializeToString()


def _fill(ledger: Ledger, count: int) -> float:
    """Fills a ledger by its own code, heads included; seconds of work for each thousand entries."""
    collector, busy_s, signed = Collector(ledger.store), 0.0, 0
    for first in range(0, count, BATCH):
        numbers = range(first, min(count, first + BATCH))
        released = [Entry(number, _released(number)) for number in numbers]
        sent = [Entry(number, _sent(number)) for number in numbers]
        began = time.perf_counter()
        ledger.store.commit(collector.plan(EVALUATIONS, released))
        ledger.store.commit(collector.plan(DELIVERIES, sent))
        if numbers.stop - signed >= ENTRIES_A_SECOND * HEAD_INTERVAL_MS // 1000 or numbers.stop == count:
            ledger.keeper.sign()
            signed = numbers.stop
        busy_s += time.perf_counter() - began
    return busy_s * 1000 / count


def _verified(count: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="ein-") as folder:
        ledger = Ledger(Path(folder))
        try:
            fill_s = _fill(ledger, count)
            began = time.perf_counter()
            report = ledger.verify()
            took_s = time.perf_counter() - began
            assert report.intact, report.as_json()
            assert report.entries == {CHAIN: count}
            middle = count // 2
            ledger.put(middle, changed(ledger.store.reader().entry(CHAIN, middle)))
            assert ledger.found() == [(EDITED, CHAIN, middle, middle)]
            size = ledger.state.ledger_db.stat().st_size
        finally:
            ledger.close()
    return {
        "entries": count,
        "heads": report.heads,
        "verify_s": round(took_s, 2),
        "fill_s_per_1000_entries": round(fill_s, 4),
        "bytes_per_entry_with_its_decision": size // count,
    }


async def _pay(installation: Installation, count: int, first: int = 1) -> int:
    """An open loop of payments at the rate, numbered from `first`; how many were answered."""
    headers = [*installation.metadata("payments"), ("grpc-timeout", "5S")]
    connection = await connect(installation.address("gateway", "grpc"), _ENRICH, headers)
    answered = 0

    def on_answer(message: bytes | None, read_at: float) -> None:
        nonlocal answered
        answered += message is not None

    begin_ms = time.time_ns() // 1_000_000
    requests = [
        payment(first + n, now_ms=begin_ms + n * 1000 // RATE_PER_S).SerializeToString() for n in range(count)
    ]
    began, number = time.perf_counter(), 0
    while number < count:
        due = min(count, int((time.perf_counter() - began) * RATE_PER_S))
        if due > number:
            connection.call([(request, on_answer) for request in requests[number:due]])
            number = due
        await asyncio.sleep(0.001)
    for _ in range(500):
        if not connection.in_flight:
            break
        await asyncio.sleep(0.01)
    connection.close()
    return answered


def _metric(installation: Installation, name: str) -> float:
    with urllib.request.urlopen(f"http://{installation.address('feeds', 'metrics')}/metrics") as reply:
        found = re.search(rf"^{name} (\S+)$", reply.read().decode(), re.M)
    assert found, name
    return float(found[1])


async def _lagging(installation: Installation, count: int) -> tuple[int, list[float]]:
    paying = asyncio.create_task(_pay(installation, count))
    lags: list[float] = []
    while not paying.done():
        lags.append(await asyncio.to_thread(_metric, installation, "ein_feeds_ledger_lag_seconds"))
        await asyncio.sleep(0.2)
    return paying.result(), lags


def _lag(count: int) -> dict[str, Any]:
    with (
        tempfile.TemporaryDirectory(prefix="ein-") as folder,
        Installation(Path(folder), processes=("gateway", "feeds")) as installation,
    ):
        answered, lags = asyncio.run(_lagging(installation, count))
        assert answered == count
        faults = _metric(installation, "ein_feeds_ledger_faults_total")
        assert not faults, f"{faults} rounds of the ledger were put off"
    return {"payments": count, "rate_per_s": RATE_PER_S, "looks": len(lags), "lag_max_s": round(max(lags), 2)}


def _cpu_us(installation: Installation, count: int, first: int) -> float:
    """What a payment takes of the gateway's processor."""
    stat = Path(f"/proc/{installation.supervisor.children['gateway'].pid}/stat")

    def ticks() -> int:
        fields = stat.read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    before = ticks()
    assert asyncio.run(_pay(installation, count, first)) == count
    return (ticks() - before) / os.sysconf("SC_CLK_TCK") * 1e6 / count


def _cost(rounds: int, count: int) -> dict[str, Any]:
    with (
        tempfile.TemporaryDirectory(prefix="ein-") as one,
        tempfile.TemporaryDirectory(prefix="ein-") as other,
        Installation(Path(one), processes=("gateway",)) as alone,
        Installation(Path(other), processes=("gateway",)) as followed,
        subprocess.Popen(
            [sys.executable, "-m", "tests.kit.ledger_alone", str(followed.config)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        ) as ledger,
    ):  # fmt: skip
        assert ledger.stdout is not None
        assert ledger.stdin is not None
        assert ledger.stdout.readline() == "ready\n"
        found = []
        # The first round warms both up.
        for number in range(rounds + 1):
            order = (alone, followed) if number % 2 else (followed, alone)
            took = {id(one): _cpu_us(one, count, 1 + number * count) for one in order}
            found.append((took[id(alone)], took[id(followed)]))
        ledger.stdin.close()
        assert ledger.wait(30) == 0
        with closing(SqliteLedgerStore(followed.state.ledger_db)) as store:
            # It is stopped where it is: of the last round there may be some left.
            read = store.offset(EVALUATIONS, 0)
    assert read >= rounds * count, f"the ledger read no more than {read}"
    del found[0]
    return {
        "gateway_us_a_payment_alone": round(median(one for one, _ in found), 1),
        "gateway_us_a_payment_followed": round(median(one for _, one in found), 1),
        "cost_ratio": round(median(with_it / without for without, with_it in found), 3),
        "cost_ratios": [round(with_it / without, 3) for without, with_it in found],
    }


def run(full: bool) -> dict[str, Any]:
    verified = _verified(1_000_000 if full else 50_000)
    lag = _lag(60_000 if full else 5_000)
    cost = _cost(*((9, 10_000) if full else (3, 2_000)))
    short = []
    limit_s = VERIFY_LIMIT_S * verified["entries"] / 1_000_000
    if verified["verify_s"] > limit_s:
        short.append(f"{verified['entries']} entries took {verified['verify_s']} s of at most {limit_s}")
    if lag["lag_max_s"] > LAG_LIMIT_S:
        short.append(f"it lagged by {lag['lag_max_s']} s of at most {LAG_LIMIT_S}")
    # Quick windows are too short to judge by.
    if full and cost["cost_ratio"] > COST_LIMIT:
        short.append(f"a payment takes {cost['cost_ratio']} times as much of the gateway, of {COST_LIMIT}")
    return {**verified, **lag, **cost, "shortfalls": short}
