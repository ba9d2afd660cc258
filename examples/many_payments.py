"""Many payments at once, by each of the three ways. The call is the same; only the choice differs.

alone   one call for each payment
batch   those that come within 200 us go together
stream  over calls that stay open, several in one message
auto    alone while few are under way, together while many are: what PaymentClient does by itself

The bearer token comes from EIN_TOKEN.
"""

import argparse
import asyncio
import os
import time
from dataclasses import replace

from payment_service import request_for

from issuernetwork.client import PATIENT, ClientCounters, EnrichResult, PaymentClient, Transport

WAYS: dict[str, Transport] = {"alone": "unary", "batch": "batch", "stream": "stream", "auto": "auto"}


async def pay(
    gateway: str, way: Transport, payments: int, at_once: int
) -> tuple[list[EnrichResult], ClientCounters]:
    """So many payments, `at_once` of them under way."""
    # PATIENT waits seconds, for a trial on a busy machine; start from PRODUCTION before real authorizations.
    preset = replace(PATIENT, transport=way)
    run_id = f"many-{way}-{time.time_ns() // 1_000_000}"
    numbers = iter(range(1, payments + 1))
    results = []

    async with PaymentClient(gateway, os.environ["EIN_TOKEN"], preset=preset) as client:

        async def till() -> None:
            for number in numbers:
                result = await client.enrich(request_for(run_id, number))
                results.append(result)  # whatever came back, the payment goes on with result.elements()

        await asyncio.gather(*(till() for _ in range(at_once)))
        return results, client.counters()


async def run(options: argparse.Namespace) -> None:
    for name in options.ways or WAYS:
        results, counted = await pay(options.gateway, WAYS[name], options.payments, options.at_once)
        answered = sum(result.answered for result in results)
        print(
            f"{name}: {answered} of {len(results)} answered; {counted.unary_calls} alone, "
            f"{counted.batch_items} in {counted.batch_calls} batches, {counted.stream_items} over "
            f"{counted.streams_opened} streams; fallbacks {dict(counted.fallbacks) or 'none'}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("ways", nargs="*", choices=[[], *WAYS], help="all of them where none is named")
    parser.add_argument("--gateway", default="127.0.0.1:7443", help="address of `ein gateway`")
    parser.add_argument("--payments", type=int, default=200, help="by each way")
    parser.add_argument("--at-once", type=int, default=50, help="payments under way")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
