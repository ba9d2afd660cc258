"""A provider of a third party: asks a service of the operator's whether addresses hide whose they are.

It runs on a thread of its own: what it says after its budget is dropped, and the payments go on without.
"""

import http.client
import json
from collections.abc import Mapping, Sequence
from typing import Any

WORDS = ("none", "vpn", "proxy", "tor", "hosting")


class AddressReputation:
    """One POST a batch, over a connection that is kept: a list of addresses there, a list of words back."""

    name = "address_reputation"
    version = "1.0"
    wants = ("ip",)
    gives = ("ip_anonymised",)

    def __init__(self, host: str, port: int) -> None:
        # Longer than any budget: it ends a connection that hangs, so that the next batch has a new one.
        self._connection = http.client.HTTPConnection(host, port, timeout=1.0)

    def fetch(self, batch: Any) -> Mapping[str, Sequence[str | None]]:
        """`batch["ip"]` has one address a payment, "" where there is none."""
        body = json.dumps(batch["ip"])
        try:
            self._connection.request("POST", "/addresses", body, {"Content-Type": "application/json"})
            found = json.loads(self._connection.getresponse().read())
        except BaseException:
            self._connection.close()
            raise
        return {"ip_anonymised": [word if word in WORDS else None for word in found]}

    def close(self) -> None:
        """At the end of the process."""
        self._connection.close()


def make(options: Mapping[str, Any]) -> AddressReputation:
    """What the entry point names: `options` are those of ein.yaml."""
    return AddressReputation(str(options["host"]), int(options["port"]))
