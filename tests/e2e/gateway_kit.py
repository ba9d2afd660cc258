"""A gateway of its own for a test or a benchmark: an installation, a process, requests."""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.runtime.entropy import SystemEntropy
from gateway.server.identity import issue_token
from gateway.server.install import install
from gateway.server.policy import read_policy
from gateway.server.settings import Settings
from issuernetwork.v1 import enrichment_pb2
from simulator.recipient_keys import ec_pair

ROOT = Path(__file__).resolve().parents[2]
SAMPLE_POLICY = ROOT / "deploy" / "sample" / "policy"
RECIPIENTS = ("northgate-bank", "harbor-federal", "meridian-cards", "atlas-processing")
START_S = 20.0

NORTHGATE, HARBOR, MERIDIAN, SUMMIT, LAKESIDE = "90100101", "90200202", "90300303", "90400404", "90900909"


@dataclass
class Installation:
    """Settings, callers' tokens and recipients' private keys."""

    settings: Settings
    caller_token: str
    issuer_token: str
    private_keys: dict[str, dict[str, Any]]


def make_installation(
    folder: Path, *, front: str = "auto", policy: dict[str, str] | None = None
) -> Installation:
    pairs = {recipient: ec_pair(f"{recipient}-1") for recipient in RECIPIENTS}
    settings = install(
        folder,
        policy=policy or read_policy(SAMPLE_POLICY),
        recipient_jwks={name: json.dumps({"keys": [public]}) for name, (public, _) in pairs.items()},
        front=front,
    )
    entropy = SystemEntropy()
    return Installation(
        settings,
        issue_token(settings.state, principal_id="shop-1", role="caller", entropy=entropy),
        issue_token(settings.state, principal_id="northgate-bank", role="issuer", entropy=entropy),
        {name: private for name, (_, private) in pairs.items()},
    )


class Process:
    """`ein gateway` in a process of its own, ready when constructed."""

    def __init__(self, installation: Installation, *, prefix: Sequence[str] = ()) -> None:
        self._state = installation.settings.state
        self._state.clear_ready("gateway")
        run = [sys.executable, "-c", "from gateway.server.cli.main import main; main()"]
        with (self._state.logs / "gateway.log").open("ab") as log:
            self.popen = subprocess.Popen(
                [*prefix, *run, "gateway", "--config", str(installation.settings.source)],
                stdout=log,
                stderr=log,
                cwd=ROOT,
            )
        deadline = time.monotonic() + START_S
        while (ready := self._state.read_ready("gateway")) is None:
            if self.popen.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"gateway did not start:\n{self.log()}")
            time.sleep(0.02)
        self.address = ready["grpc"]
        self.metrics = ready["metrics"]

    def log(self) -> str:
        return (self._state.logs / "gateway.log").read_text()

    def stop(self) -> int:
        """SIGTERM and the exit code."""
        self.popen.terminate()
        return self.popen.wait(START_S)

    def kill(self) -> None:
        """SIGKILL."""
        self.popen.kill()
        self.popen.wait(START_S)


def luhn(head: str) -> str:
    """`head` with its check digit."""
    total = 0
    for place, digit in enumerate(reversed(head)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return head + str(-total % 10)


def payment(
    number: int,
    *,
    iin: str = NORTHGATE,
    card: int | None = None,
    now_ms: int | None = None,
    merchant_id: str = "m-0001",
    prefix: str = "p",
) -> enrichment_pb2.EnrichAuthorizationRequest:
    """A full request; the same number gives the same bytes where `now_ms` is given."""
    request = enrichment_pb2.EnrichAuthorizationRequest(
        request_id=f"{prefix}-r-{number}",
        payment_intent_id=f"{prefix}-i-{number}",
        attempt_no=1,
        merchant_id=merchant_id,
        platform_id="plat-1",
        network=1,
        amount_minor=1_000 + number % 9_000,
        currency="USD",
        initiated_at_ms=time.time_ns() // 1_000_000 if now_ms is None else now_ms,
        channel=1,
        initiation=1,
        cardholder_region="US",
    )
    request.card.pan = luhn(f"{iin}{number if card is None else card:07d}")
    request.card.funding = 1
    request.acquirer.acquiring_institution_id = "400123"
    request.acquirer.stan = f"{number % 1_000_000:06d}"
    request.acquirer.transmission_date_time = "1120235959"
    request.acquirer.retrieval_reference_number = f"{number:012d}"
    request.acquirer.terminal_id = "T0000001"
    request.acquirer.card_acceptor_id = "ACCEPTOR0000001"
    request.merchant.mcc = "5411"
    request.merchant.name = "Example Shop"
    request.merchant.country = "US"
    request.customer.email = f"person{number}@mailbox-{number % 9}.net"
    request.customer.phone_e164 = "+12025550123"
    request.customer.name = "Some Body"
    address = {"line1": "1 Road", "city": "Town", "region": "CA", "postal_code": "90210", "country": "US"}
    for place in (request.customer.billing, request.customer.shipping):
        for name, value in address.items():
            setattr(place, name, value)
    request.customer.history.account_age_days = 400
    request.customer.history.transactions_24h = 1
    request.customer.history.card_on_file_age_days = 200
    request.device.ip = f"81.{number // 62_500 % 200}.{number // 250 % 250}.{number % 250 + 1}"
    request.device.device_id = f"device-{number % 5_000}"
    request.device.user_agent = (
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/130.0 Safari/537.36"
    )
    request.device.browser.time_zone = "America/Los_Angeles"
    request.device.browser.language = "en-US"
    request.device.browser.screen_width = 1920
    request.device.browser.screen_height = 1080
    request.authentication.eci = "05"
    request.authentication.avs_result = "Y"
    request.authentication.cvv_result = "M"
    return request
