"""A fresh installation in a folder: settings on free ports, keys, recipients' keys, and a first policy."""

from collections.abc import Mapping
from pathlib import Path

import yaml

from gateway.backends.embedded.keyfiles import add_signing_keys, create_keys
from gateway.backends.embedded.passphrase import SCRYPT_LOG2_N
from gateway.backends.embedded.recipient_files import publish_recipient_keys
from gateway.backends.embedded.seen_ids import begin_seen_ids
from gateway.programs.model import DEFAULT_SIGNING_ALGORITHM
from gateway.runtime.clock import SystemClock
from gateway.runtime.entropy import SystemEntropy
from gateway.sealing.keys import SignatureAlgorithm
from gateway.server.own_keys import key_files
from gateway.server.policy import apply_policy
from gateway.server.settings import FilesKeys, Settings, load_settings

FREE = "127.0.0.1:0"
"""A free port of the loopback address: what listens there says which in run/<process>.json."""

ISSUER_URL = "https://issuernetwork.test"
"""`iss` of a trial installation: a name reserved for tests (RFC 2606), only ever compared."""


def write_settings(folder: Path, *, front: str = "auto", keys: Mapping[str, object] | None = None) -> Path:
    """Settings of a trial installation in `folder`, all on free loopback ports; `keys`: as in there."""
    document: dict[str, object] = {
        "state_dir": "var",
        "issuer_url": ISSUER_URL,
        "gateway": {"listen": FREE, "metrics": FREE, "front": front},
        "feeds": {"listen_grpc": FREE, "listen_http": FREE, "metrics": FREE},
        "measure": {"listen_grpc": FREE, "metrics": FREE},
        "score": {"model": "simulated"},
        **({} if keys is None else {"keys": dict(keys)}),
    }
    path = folder / "ein.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def install(
    folder: Path,
    *,
    policy: Mapping[str, str],
    recipient_jwks: Mapping[str, str],
    front: str = "auto",
    scrypt_log2_n: int = SCRYPT_LOG2_N,
    keys: Mapping[str, object] | None = None,
) -> Settings:
    """Makes all that the processes need in `folder`. Raises PolicyInvalid, KeyStoreFault, BadKey."""
    settings = load_settings(write_settings(folder, front=front, keys=keys))
    state, files = settings.state, key_files(settings, SystemClock())
    state.make()
    begin_seen_ids(state.seen_ids)
    if isinstance(settings.keys, FilesKeys):
        create_keys(state.keys, SystemEntropy(), make_passphrase=True, scrypt_log2_n=scrypt_log2_n)
    else:
        files.create()
    for recipient_id, jwks in recipient_jwks.items():
        publish_recipient_keys(state.keys, recipient_id, jwks)
    applied = apply_policy(
        state.policy_db, policy, actor="install", reason="first policy", clock=SystemClock()
    )
    named = {one.signing_algorithm for one in applied.recipients.values()} - {DEFAULT_SIGNING_ALGORITHM}
    if named:
        add_signing_keys(files, map(SignatureAlgorithm, sorted(named)))
    return settings
