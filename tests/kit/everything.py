"""An installation with everything on, which speed is shown with: each provider has what it looks things up
in, and one issuer takes two programs about each payment."""

import os
from pathlib import Path
from typing import Any

import yaml

from gateway.server.policy import read_policy
from tests.kit.installation import ROOT, SAMPLE_POLICY, Installation
from tests.kit.payments import HARBOR, NORTHGATE

MERCHANTS = 200
"""As in the demo: 5% of them share at the basic tier only, 5% have opted out."""

GEOIP = ROOT.parent / "shared" / "data" / "geoip"
"""MaxMind's test databases, read in place. Where they are not, the provider has its lists alone."""

_DATABASES = {
    "country": "GeoIP2-Country-Test.mmdb",
    "asn": "GeoLite2-ASN-Test.mmdb",
    "anonymity": "GeoIP2-Anonymous-IP-Test.mmdb",
}


def two_programs() -> dict[str, str]:
    """The sample policy: one issuer takes two programs about each payment, and nobody is held out."""
    found = {}
    for name, text in read_policy(SAMPLE_POLICY).items():
        if name.endswith("northgate-bank-enhanced-data.yaml"):
            text = text.replace("state: shadow", "state: active")
        found[name] = text.replace("holdout_percent: 50", "holdout_percent: 0").replace(
            "global_holdout_percent: 2", "global_holdout_percent: 0"
        )
    return found


def everything(folder: Path, *, front: str, hot_loop_core: int | None = None) -> Installation:
    """With files of the providers in `folder`; the hot loop on a core of its own, where there are two."""
    installation = Installation(folder, front=front, policy=two_programs())
    document = yaml.safe_load(installation.config.read_text())
    if hot_loop_core is not None and len(os.sched_getaffinity(0)) > 1:
        document["gateway"]["hot_loop_core"] = hot_loop_core
    installation.config.write_text(yaml.safe_dump({**document, "providers": _providers(folder)}))
    return installation


def _providers(folder: Path) -> dict[str, Any]:
    exits, rates = folder / "exits.txt", folder / "rates.csv"
    exits.write_text("".join(f"81.{100 + number}.{100 + number}.0/24\n" for number in range(100)))
    rows = [
        f"payments,m-{number:04d},{1_000 + number},{number % 7},{number % 5}" for number in range(MERCHANTS)
    ]
    rates.write_text("\n".join(["sender_id,merchant_id,payments,frauds,disputes", *rows, ""]))
    iins = folder / "iins.csv"
    entries = [f"{90_100_000 + number},US,credit,Classic" for number in range(0, 1_000, 10)]
    entries += [f"{HARBOR},US,credit,Rewards", f"{NORTHGATE},CA,debit,Everyday"]
    iins.write_text("\n".join(["iin,country,funding,product", *entries, ""]))
    found = {kind: str(GEOIP / name) for kind, name in _DATABASES.items() if (GEOIP / name).exists()}
    return {
        "network": {**found, "lists": {"tor": str(exits)}},
        "merchant": {"rates": str(rates)},
        "iin": {"table": str(iins)},
    }
