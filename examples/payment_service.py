"""A payment service: enrich before the authorization, then report what came of it.

Keeps the sender's list that `ein verify` reads. The bearer token comes from EIN_TOKEN.
"""

import argparse
import asyncio
import json
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

from issuernetwork.client import PATIENT, EnrichResult, PaymentClient
from issuernetwork.v1 import common_pb2, enrichment_pb2, outcomes_pb2

IIN = "90100101"  # northgate-bank in deploy/sample/policy


def card_number(number: int) -> str:
    """Sixteen digits with a valid check digit (Luhn)."""
    body = f"{IIN}{number:07d}"
    doubled = [int(digit) * (2 - place % 2) for place, digit in enumerate(body)]
    return body + str(-sum(value // 10 + value % 10 for value in doubled) % 10)


def request_for(run: str, number: int) -> enrichment_pb2.EnrichAuthorizationRequest:
    """One attempt. What the authorization message will carry stands under acquirer and merchant."""
    return enrichment_pb2.EnrichAuthorizationRequest(
        request_id=f"{run}-{number}-1",
        payment_intent_id=f"{run}-{number}",
        attempt_no=1,
        merchant_id="m-0001",
        platform_id="plat-1",
        amount_minor=4_200 + number,
        currency="USD",
        initiated_at_ms=time.time_ns() // 1_000_000,
        channel=common_pb2.CHANNEL_ECOM,
        initiation=common_pb2.INITIATION_CIT,
        card=enrichment_pb2.Card(pan=card_number(number)),
        acquirer=enrichment_pb2.Acquirer(
            acquiring_institution_id="400001",
            retrieval_reference_number=f"{time.time_ns() // 1_000_000 % 10**8:08d}{number:04d}",
            card_acceptor_id="SHOP00000000001",
        ),
        merchant=enrichment_pb2.Merchant(mcc="5732", name="Example shop", country="US"),
        customer=enrichment_pb2.Customer(email="ada@shop.example"),
        device=enrichment_pb2.Device(ip="203.0.113.7", device_id="device-1"),
        cardholder_region="US",
    )


def authorize(elements: list[enrichment_pb2.MessageElement]) -> bool:
    """Stands for the real authorization; `elements` go into its message."""
    return True


def line_of(request: enrichment_pb2.EnrichAuthorizationRequest, result: EnrichResult) -> dict[str, Any]:
    """A line of the sender's list: what was asked, and what we were told."""
    decisions = result.response.decisions if result.response is not None else []
    return {
        "request_id": request.request_id,
        "payment_intent_id": request.payment_intent_id,
        "attempt_no": request.attempt_no,
        "sent": True,
        "answered": result.answered,
        "error": result.reason or None,
        "decisions": [
            {
                "program": one.program,
                "status": common_pb2.ShareStatus.Name(one.status).removeprefix("SHARE_STATUS_").lower(),
                "reason": common_pb2.PublicReason.Name(one.public_reason)
                .removeprefix("PUBLIC_REASON_")
                .lower(),
                "share_id": one.share_id,
            }
            for one in decisions
        ],
    }


async def run(options: argparse.Namespace) -> None:
    said: Counter[str] = Counter()
    outcomes = []
    run_id = f"pay-{time.time_ns() // 1_000_000}"
    # PATIENT waits seconds, for a trial on a busy machine; leave it out in front of real authorizations.
    async with PaymentClient(options.gateway, os.environ["EIN_TOKEN"], preset=PATIENT) as client:
        with options.list.open("a") as sender_list:
            for number in range(1, options.payments + 1):
                request = request_for(run_id, number)
                result = await client.enrich(request)
                line = line_of(request, result)
                sender_list.write(json.dumps(line) + "\n")
                for decision in line["decisions"]:
                    why = decision["reason"] if decision["status"] == "withheld" else ""
                    said[" ".join((decision["program"], decision["status"], why)).strip()] += 1
                # Whatever came back, the payment goes on.
                outcomes.append(
                    outcomes_pb2.OutcomeEvent(
                        outcome_id=f"{request.request_id}-auth",
                        payment_intent_id=request.payment_intent_id,
                        attempt_no=1,
                        kind=outcomes_pb2.OUTCOME_KIND_AUTHORIZATION,
                        transmitted_share_ids=result.shared_ids() if result.elements() else [],
                        occurred_at_ms=time.time_ns() // 1_000_000,
                        approved=authorize(result.elements()),
                        requested_minor=request.amount_minor,
                        approved_minor=request.amount_minor,
                        currency=request.currency,
                    )
                )
        results = await client.report_outcomes(outcomes)
    for text, count in sorted(said.items()):
        print(f"{count:4} {text}")
    recorded = sum(one.status == outcomes_pb2.REPORT_STATUS_RECORDED for one in results)
    print(f"{recorded:4} outcomes recorded")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gateway", default="127.0.0.1:7443", help="address of `ein gateway`")
    parser.add_argument("--payments", type=int, default=20, help="how many, each with a card of its own")
    parser.add_argument("--list", type=Path, default=Path("sender.ndjson"), help="sender's list; added to")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
