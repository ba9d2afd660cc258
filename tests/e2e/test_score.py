"""A model in a running gateway: it serves, a broken one costs no payment its answer, `ein status` tells."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from click.testing import CliRunner

from enrichment.scoring import points
from gateway.server.cli.status import status_command
from issuernetwork.v1 import enrichment_pb2_grpc
from tests.kit.gateway_process import Process
from tests.kit.installation import Installation
from tests.kit.payments import payment
from tests.unit.score.kit import MODEL, changed, copied, needs_library, with_model

pytestmark = needs_library

TIMEOUT_S = 10.0


class Scored:
    """An installation with a model of its own, and its gateway."""

    def __init__(self, folder: Path, prepare: Callable[[Path], object] = lambda manifest: None) -> None:
        self.installation = Installation(folder, processes=())
        self.manifest = copied(folder / "models")
        prepare(self.manifest)
        config = self.installation.config
        document = yaml.safe_load(config.read_text())
        document["score"] = {"model": "models/manifest.json", "shadow_rows": 0}
        config.write_text(yaml.safe_dump(document))
        self.process = Process(self.installation)
        self.channel = grpc.insecure_channel(
            self.process.address, options=(("grpc.use_local_subchannel_pool", 1),)
        )
        self.number = 0

    def enrich(self) -> Any:
        self.number += 1
        stub = enrichment_pb2_grpc.EnrichmentServiceStub(self.channel)
        return stub.EnrichAuthorization(
            payment(self.number), metadata=self.installation.metadata("payments"), timeout=TIMEOUT_S
        )

    def until(self, found: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + TIMEOUT_S
        while not found():
            assert time.monotonic() < deadline, f"not {what} in {TIMEOUT_S} s:\n{self.process.log()}"
            time.sleep(0.05)

    def told(self) -> dict[str, Any]:
        shown = CliRunner().invoke(
            status_command, ["--config", str(self.installation.config), "--json"], standalone_mode=False
        )
        found: dict[str, Any] = json.loads(shown.stdout)["score"]["serving"]
        return found

    def end(self) -> None:
        self.channel.close()
        assert self.process.stop() == 0


def unscored(answer: Any) -> list[str]:
    return [one.reason for one in answer.omissions if one.provider == "score"]


@pytest.fixture
def scored(tmp_path: Path) -> Iterator[Scored]:
    made = Scored(tmp_path)
    yield made
    made.end()


def test_a_running_gateway_swaps_models_and_keeps_the_good_one(scored: Scored) -> None:
    answer = scored.enrich()
    assert [one.model_id for one in answer.assessments] == ["simulated-1"]
    assert unscored(answer) == []
    assert scored.told()["model"] == "simulated-1"
    changed(scored.manifest, lambda document: document.update(model_id="second"))
    scored.until(lambda: scored.enrich().assessments[0].model_id == "second", "swapped")
    whole = (scored.manifest.parent / MODEL).read_bytes()
    # Text that ends the process that opens it, under its right hash: the gateway must not be that process.
    with_model(scored.manifest, b"")
    scored.until(lambda: "refused" in scored.told(), "refused")
    assert scored.told()["refused"] == "model_malformed"
    answer = scored.enrich()
    assert (answer.assessments[0].model_id, unscored(answer)) == ("second", [])
    with_model(scored.manifest, whole)
    changed(scored.manifest, lambda document: document.update(model_id="third"))
    scored.until(lambda: scored.enrich().assessments[0].model_id == "third", "mended")


def test_a_corrupt_model_at_the_start_leaves_payments_to_the_points(tmp_path: Path) -> None:
    def corrupt(manifest: Path) -> None:
        path = manifest.parent / MODEL
        path.write_bytes(path.read_bytes()[:-1] + b"?")

    scored = Scored(tmp_path, corrupt)
    try:
        answer = scored.enrich()
        assert answer.assessments[0].model_id == points.MODEL_ID
        assert unscored(answer) == ["model_unavailable"]
        assert len(answer.decisions) > 0
        assert scored.told() == {"model": points.MODEL_ID, "refused": "model_hash"}
        assert '"code": "model_hash"' in scored.process.log()
    finally:
        scored.end()
