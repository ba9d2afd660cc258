"""`ein gateway` with providers: from its settings, a list that is followed, a memory that outlives it."""

import asyncio
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import yaml

from enrichment.providers.device import KNOWN_AFTER_DAYS
from issuernetwork.v1 import enrichment_pb2, enrichment_pb2_grpc
from tests.kit.gateway_process import Process
from tests.kit.installation import ROOT, Installation
from tests.kit.payments import payment

TIMEOUT_S = 20.0
DAY_MS = 86_400_000
CONFIG = 78


def configured(folder: Path, providers: dict[str, Any]) -> Installation:
    installation = Installation(folder, processes=())
    document = yaml.safe_load(installation.config.read_text())
    installation.config.write_text(yaml.safe_dump({**document, "providers": providers}))
    return installation


def omitted(installation: Installation, process: Process, request: Any) -> dict[str, str]:
    """What the answer leaves out, by provider."""

    async def ask() -> Any:
        async with grpc.aio.insecure_channel(process.address) as channel:
            stub = enrichment_pb2_grpc.EnrichmentServiceStub(channel)
            return await stub.EnrichAuthorization(
                request, metadata=installation.metadata("payments"), timeout=TIMEOUT_S
            )

    answer = asyncio.run(ask())
    assert answer.completeness == enrichment_pb2.COMPLETENESS_FULL
    return {one.provider: one.reason for one in answer.omissions}


def metrics(process: Process) -> dict[str, float]:
    with urllib.request.urlopen(f"http://{process.metrics}/metrics", timeout=TIMEOUT_S) as found:
        lines = found.read().decode().splitlines()
    return {name: float(value) for name, value in (line.split(" ") for line in lines if line[0] != "#")}


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_providers_serve_the_process_and_what_they_remember_outlives_it(tmp_path: Path) -> None:
    (tmp_path / "exits.txt").write_text("81.0.0.0/8\n")
    (tmp_path / "iins.csv").write_text("iin,country,funding,product\n901001,US,credit,\n")
    installation = configured(
        tmp_path, {"network": {"lists": {"tor": "exits.txt"}}, "iin": {"table": "iins.csv"}}
    )
    before_ms = time.time_ns() // 1_000_000 - (KNOWN_AFTER_DAYS + 1) * DAY_MS
    process = Process(installation)
    try:
        assert omitted(installation, process, payment(1, now_ms=before_ms)) == {"device": "warming"}
        found = metrics(process)
        assert found['ein_provider_omissions_total{provider="device",reason="warming"}'] == 1
        asked = {name.split('"')[1] for name in found if name.startswith("ein_provider_seconds_total")}
        assert asked == {
            "velocity", "network", "iin", "merchant", "contact", "device", "amounts", "authentication",
            "card_testing",
        }  # fmt: skip
        assert found["ein_provider_files_refused"] == 0
        (tmp_path / "exits.txt").write_text("no network\n")
        eventually(lambda: metrics(process)["ein_provider_files_refused"] == 1)
        assert "exits.txt: line 1 is no network" in process.log()
    finally:
        assert process.stop() == 0, process.log()
    (tmp_path / "exits.txt").write_text("81.0.0.0/8\n")
    again = Process(installation)
    try:
        assert omitted(installation, again, payment(2)) == {}, "the memory is as old as the first process's"
    finally:
        assert again.stop() == 0, again.log()


def test_a_gateway_whose_settings_name_what_is_not_there_does_not_start_and_says_which(
    tmp_path: Path,
) -> None:
    for providers, why in (
        ({"network": {"country": "absent.mmdb"}}, "providers.network.country: no such file"),
        ({"others": [{"name": "nobody"}]}, "no installed package has an entry point nobody"),
    ):
        folder = tmp_path / why[:12]
        folder.mkdir()
        installation = configured(folder, providers)
        done = subprocess.run(
            [sys.executable, "-c", "from gateway.server.cli.main import main; main()", "gateway", "--config",
             str(installation.config)],
            cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
        )  # fmt: skip
        assert done.returncode == CONFIG
        assert why in done.stdout + done.stderr
