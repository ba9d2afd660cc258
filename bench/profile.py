"""`python -m bench.profile [unary|batch|stream]...`: where a payment's CPU time goes, as text."""

import argparse
import json
import os
import platform
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.enrich import HOW, loaded, make_requests, served
from gateway.runtime import native

PAYMENTS = 20_000
"""Some three seconds of each way."""

WAYS = ("unary", "batch", "stream")
HOT, EVENT_LOOP = "hot-loop", "grpcio"
LEAST_SHARE = 0.05
"""Of the CPU time: threads with less are not looked into."""

SHOWN = 25
LEAST_US = 0.2
"""What takes less of a payment is left out."""

WAIT_S = 10.0
SIGNALLED_S = 0.2
"""A signal reaches the main thread within a switch of the interpreter."""


def profile(way: str, front: str) -> str:
    """A page about one way through one front."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "profile.json"
        code = (
            f"from bench.sampler import start; start({str(path)!r}); "
            "from gateway.server.cli.main import main; main()"
        )
        with served(front, code=code) as (installation, process):
            headers = [*installation.metadata("payments"), ("grpc-timeout", "60S")]
            loaded(way, process.address, make_requests(0, PAYMENTS // 10), headers)
            payloads = make_requests(1, PAYMENTS)
            process.popen.send_signal(signal.SIGUSR1)
            time.sleep(SIGNALLED_S)
            run = loaded(way, process.address, payloads, headers)
            process.popen.send_signal(signal.SIGUSR1)
            until_s = time.monotonic() + WAIT_S
            while not path.exists():
                if time.monotonic() > until_s:
                    raise AssertionError(f"no figures from the gateway:\n{process.log()}")
                time.sleep(0.05)
            return _page(f"{way}, {front} front", way, run.items, json.loads(path.read_text()))


def _page(title: str, way: str, items: int, found: dict[str, Any]) -> str:
    def us(seconds: float) -> float:
        return seconds / items * 1e6

    threads = {name: us(spent) for name, spent in found["threads"].items() if name != "sampler"}
    lines = [
        f"== {title}: {HOW[way]} ==",
        f"{sum(threads.values()):.1f} us of CPU a payment, by thread as the kernel counts it:",
    ]
    lines += [
        f"  {spent:6.1f}  {name}"
        for name, spent in sorted(threads.items(), key=lambda one: -one[1])
        if spent >= LEAST_US
    ]
    for name in (HOT, EVENT_LOOP):
        looks = found["looks"].get(name)
        if looks is None or threads.get(name, 0.0) < LEAST_SHARE * sum(threads.values()):
            continue
        working = looks["self"]
        each_us = threads[name] / sum(working.values())
        lines += ["", f"{name}, by function, us a payment:", "    self  within"]
        lines += [
            f"  {count * each_us:6.2f}  {looks['within'][one] * each_us:6.2f}  {one}"
            for one, count in sorted(working.items(), key=lambda one: -one[1])[:SHOWN]
            if count * each_us >= LEAST_US
        ]
        if name == HOT:
            spots = looks["line"].items()
            lines += ["", f"{name}, by line, us a payment:"]
            lines += [
                f"  {count * each_us:6.2f}  {one}"
                for one, count in sorted(spots, key=lambda one: -one[1])[: SHOWN // 2]
            ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.profile", description=__doc__)
    parser.add_argument("ways", nargs="*", choices=[[], *WAYS], help="all of them where none is named")
    parser.add_argument("--front", choices=["native", "grpcio"], default="native")
    parser.add_argument("--next", default="", help="the next thing worth doing, for the end of the page")
    options = parser.parse_args()
    engines = "engines in Rust" if native.engines is not None else "twins in Python"
    print(
        "Where a payment's CPU time goes (python -m bench.profile), "
        f"Python {platform.python_version()}, {engines};\n"
        f"{os.cpu_count()} cores, {os.getloadavg()[0]:.1f} others at work on them at the start.\n"
        "Each payment is a full request, shared under two programs. Looks cost some of the speed: read the\n"
        "shares. Rust and C stand under the line that calls them, or the function that is entered next.\n"
    )
    for way in options.ways or WAYS:
        print(profile(way, options.front), flush=True)
    if options.next:
        print(f"Next worth doing: {options.next}")


if __name__ == "__main__":
    main()
