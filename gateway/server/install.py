"""A fresh installation in a folder: settings on free ports, keys, recipients' keys, and a first policy."""

from collections.abc import Mapping
from pathlib import Path

import yaml

from gateway.backends.embedded.keyfiles import add_signing_keys, create_keys, publish_recipient_keys
from gateway.backends.embedded.seen_ids import begin_seen_ids
from gateway.programs.model import DEFAULT_SIGNING_ALGORITHM
from gateway.runtime.clock import SystemClock
from gateway.runtime.entropy import SystemEntropy
from gateway.sealing.keys import SignatureAlgorithm
from gateway.server.policy import apply_policy
from gateway.server.settings import Settings, load_settings

FREE = "127.0.0.1:0"
"""A free port of the loopback address: what listens there says which in run/<process>.json."""

ISSUER_URL = "https://issuernetwork.test"
"""`iss` of a trial installation: a name reserved for tests (RFC 2606), only ever compared."""


def write_settings(folder: Path, *, front: str = "auto") -> Path:
    """Settings of a trial installation in `folder`, everything on free loopback ports."""
    document = {
        "state_dir": "var",
        "issuer_url": ISSUER_URL,
        "gateway": {"listen": FREE, "metrics": FREE, "front": front},
        "feeds": {"listen_grpc": FREE, "listen_http": FREE, "metrics": FREE},
        "measure": {"listen_grpc": FREE, "metrics": FREE},
    }
    path = folder / "ein.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def install(
    folder: Path, *, policy: Mapping[str, str], recipient_jwks: Mapping[str, str], front: str = "auto"
) -> Settings:
    """Makes all that the processes need in `folder`. Raises PolicyInvalid, KeyFileError, BadKey."""
    settings = load_settings(write_settings(folder, front=front))
    state = settings.state
    state.make()
    entropy = SystemEntropy()
    begin_seen_ids(state.seen_ids)
    create_keys(state.keys, entropy, make_passphrase=True)
    for recipient_id, jwks in recipient_jwks.items():
        publish_recipient_keys(state.keys, recipient_id, jwks)
    applied = apply_policy(
        state.policy_db, policy, actor="install", reason="first policy", clock=SystemClock()
    )
    named = {one.signing_algorithm for one in applied.recipients.values()} - {DEFAULT_SIGNING_ALGORITHM}
    if named:
        add_signing_keys(state.keys, map(SignatureAlgorithm, sorted(named)), entropy)
    return settings
