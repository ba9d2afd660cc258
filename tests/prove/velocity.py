"""Velocity counts of a million keys: memory, snapshot, and how soon a restart has them again.

First the store by itself in processes of its own, then `ein gateway` on the same snapshot and journal, asked
from the moment that it listens.
"""

import asyncio
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import grpc
import yaml

from issuernetwork.v1 import enrichment_pb2_grpc
from tests.kit.gateway_process import Process
from tests.kit.installation import ROOT, Installation
from tests.kit.payments import payment

KEYS_FULL, KEYS_REDUCED = 1_000_000, 100_000
TAIL_S = 60
"""Snapshots are so far apart: a crash leaves so much of the journal to be counted again."""

RATE_PER_S_FULL, RATE_PER_S_REDUCED = 1_000, 100
BYTES_A_KEY_LIMIT = 200
GROWN_MB_LIMIT = 250
READY_S_LIMIT = 5.0
GIVE_UP_S = 30.0
ASK_EACH_S = 0.01


def _own_process(program: str, *arguments: object) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.prove.velocity_process", program, *map(str, arguments)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


class _Asked(threading.Thread):
    """Sends payments to a gateway that is just starting, until one is told whole counts."""

    def __init__(self, port: int, metadata: list[tuple[str, str]]) -> None:
        super().__init__(name="asked", daemon=True)
        self._port = port
        self._metadata = metadata
        self._since = time.perf_counter()
        self.warming = 0
        self.first_answer_s = self.first_whole_s = 0.0

    def run(self) -> None:
        asyncio.run(self._ask())

    async def _ask(self) -> None:
        options = (("grpc.max_reconnect_backoff_ms", 50), ("grpc.initial_reconnect_backoff_ms", 50))
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self._port}", options=options) as channel:
            stub = enrichment_pb2_grpc.EnrichmentServiceStub(channel)
            number = 0
            while time.perf_counter() - self._since < GIVE_UP_S:
                number += 1
                try:
                    answer = await stub.EnrichAuthorization(
                        payment(number, prefix="asked"), metadata=self._metadata, timeout=1.0
                    )
                except grpc.aio.AioRpcError:
                    await asyncio.sleep(ASK_EACH_S)
                    continue
                now_s = time.perf_counter() - self._since
                self.first_answer_s = self.first_answer_s or now_s
                told = {(one.provider, one.reason) for one in answer.omissions}
                if ("velocity", "warming") not in told:
                    self.first_whole_s = now_s
                    return
                self.warming += 1
                await asyncio.sleep(ASK_EACH_S)


def _gateway(installation: Installation, port: int) -> dict[str, Any]:
    asked = _Asked(port, installation.metadata("payments"))
    started = time.perf_counter()
    asked.start()
    process = Process(installation)
    ready_s = time.perf_counter() - started
    try:
        asked.join(GIVE_UP_S)
        status = Path(f"/proc/{process.popen.pid}/status").read_text().splitlines()
        sizes = {line.split(":")[0]: int(line.split()[1]) for line in status if line.startswith("Vm")}
    finally:
        assert process.stop() == 0
    return {
        "ready_s": round(ready_s, 2),
        "first_answer_s": round(asked.first_answer_s, 2),
        "first_whole_s": round(asked.first_whole_s, 2),
        "told_warming": asked.warming,
        "process_mb": round(sizes["VmRSS"] * 1024 / 1e6, 1),
    }


def _installation(folder: Path, port: int) -> Installation:
    installation = Installation(folder, processes=())
    document = yaml.safe_load(installation.config.read_text())
    document["gateway"]["listen"] = f"127.0.0.1:{port}"
    installation.config.write_text(yaml.safe_dump(document))
    return installation


def run(full: bool) -> dict[str, Any]:
    keys, rate_per_s = (KEYS_FULL, RATE_PER_S_FULL) if full else (KEYS_REDUCED, RATE_PER_S_REDUCED)
    tail = TAIL_S * rate_per_s
    with tempfile.TemporaryDirectory(prefix="ein-") as folder:
        port = _free_port()
        installation = _installation(Path(folder), port)
        empty = _gateway(installation, port)
        # The journal that follows is another one: what the empty gateway was asked is not in the tail.
        state = installation.state
        shutil.rmtree(state.gateway_journal)
        given = (state.gateway_journal, state.velocity_snapshot, keys, tail)
        filled = _own_process("fill", *given)
        restarted = _own_process("restart", *given)
        gateway = _gateway(installation, port)
    assert filled["keys"] == restarted["keys"] == keys
    assert restarted.pop("probed") == filled.pop("probed"), "a restart gave other counts"
    assert restarted["told_warming"] > 0, "nobody was told that counts are warming"
    assert filled["bytes_a_key"] <= BYTES_A_KEY_LIMIT, filled
    assert filled["grown_mb"] <= GROWN_MB_LIMIT, filled
    assert gateway["first_whole_s"] > 0, "the gateway never gave whole counts"
    # What a million keys and a minute of the journal add to the start of a process that has neither.
    gateway["added_s"] = round(gateway["first_whole_s"] - empty["first_whole_s"], 2)
    took_s = {"restart": restarted["ready_s"], "gateway": gateway["added_s"]}
    short = [
        f"{name} {one} s of at most {READY_S_LIMIT}" for name, one in took_s.items() if one > READY_S_LIMIT
    ]
    return {
        "keys": keys,
        "tail_records": tail,
        "store": filled,
        "restart": restarted,
        "gateway_empty": empty,
        "gateway": gateway,
        "limits": {
            "bytes_a_key": BYTES_A_KEY_LIMIT,
            "grown_mb": GROWN_MB_LIMIT,
            "ready_s": READY_S_LIMIT,
        },
        "shortfalls": short,
    }
