"""Makes the parts of the pages that come from code. `python -m tests.unit.docs.generate` writes them anew."""

import contextlib
import io
import json
import os
from typing import Any
from unittest import mock

import click
from click.testing import CliRunner

from gateway.feeds.records import erasure_item, tombstone_jti
from gateway.runtime.entropy import UnsafeSeededEntropy
from gateway.sealing import base64url
from gateway.sealing.body import clear_members, sealed_body
from gateway.sealing.jwe import p256_private_key
from gateway.sealing.keys import MacKey, SignatureAlgorithm, SigningKey
from gateway.sealing.set import share_set, withdrawn_set
from gateway.sealing.signer import LocalSigner
from gateway.sealing.token_key import signed_token_key, token_key_jwk
from gateway.sealing.token_spans import EpochSpan
from gateway.server.cli.main import COMMANDS, ein
from issuernetwork import issuer_cli
from tests.unit.docs import schemas
from tests.unit.docs.pages import REFERENCE

SHARE_ID = "mfzwizltmq4tqnrxgu2dgmrrga"
EVALUATION_ID = "on2gk5tjmnsw24dmmvzxg5dboq"
_COMMON: dict[str, Any] = {"share_id": SHARE_ID, "issuer_id": "northgate-bank", "program": "risk-score"}
_TOKEN: dict[str, Any] = {
    **_COMMON,
    "iss": "https://feeds.network.example",
    "recipient_id": "northgate-bank",
    "issued_at_ms": 1_790_000_000_000,
    "evaluation_id": EVALUATION_ID,
}

ISSUER_COMMANDS = ("ein-issuer", "ein-issuer keys new", "ein-issuer receive", "ein-issuer token-keys")


class _Held:
    """Seals to nobody."""

    def seal_hashed(self, plaintext: bytes) -> tuple[bytes, bytes]:
        return b"<compact JWE>", b""


def examples() -> dict[str, Any]:
    """The JSON examples of the feed that our code writes."""
    key = SigningKey("sig-1", SignatureAlgorithm.ES256, p256_private_key(UnsafeSeededEntropy(1)))
    signer = LocalSigner(key)
    body = sealed_body(
        **_COMMON,
        recipient_id="northgate-bank",
        purpose=1,
        card_token="ct_example",
        token_epoch=1,
        match={"keys": ["rrn:529312000017:400001"], "attempted_at_ms": 1_789_999_999_000},
        fields={
            "card_attempts_10m": 2,
            "score_raw": 34,
            "score_scale": {"min": 0, "max": 100, "high_is_risky": True},
            "score_norm": 339,
            "reason_codes": ["ip_repeat", "device_repeat"],
            "model_id": "points-1",
        },
    )
    share = share_set(signer, **_TOKEN, jti=SHARE_ID, sealed=b"<compact JWE>", stream_seq=7)
    unsealed = clear_members(1, {"mcc": "5411", "merchant_country": "US"})
    in_clear = {**_TOKEN, "program": "merchant-notes", "evaluation_id": SHARE_ID}
    clear = share_set(signer, **in_clear, jti=SHARE_ID, sealed=unsealed, stream_seq=7, clear=True)
    withdrawn = withdrawn_set(signer, **_TOKEN, jti=tombstone_jti(SHARE_ID), stream_seq=7, reason="killed")
    order = erasure_item(
        EVALUATION_ID, [SHARE_ID], recipient_id="northgate-bank", stream_seq=8, signer_of=lambda _: signer,
        iss=_TOKEN["iss"], now_ms=_TOKEN["issued_at_ms"],
    )  # fmt: skip
    span = EpochSpan(2, 1_789_900_000_000, 0)
    secret = MacKey(bytes(range(32)))
    handed_out = signed_token_key(
        signer, _Held(), iss=_TOKEN["iss"], recipient_id="northgate-bank",  # type: ignore[arg-type]
        issued_at_ms=_TOKEN["issued_at_ms"], span=span, key=secret,
    )  # fmt: skip
    return {
        "token-key": claims_of(handed_out),
        "token-key-jwk": token_key_jwk("northgate-bank", 2, secret),
        "share": claims_of(share),
        "sealed-body": json.loads(body),
        "clear-share": claims_of(clear),
        "withdrawn": claims_of(withdrawn),
        "erasure": claims_of(order.set_bytes),
    }


def claims_of(token: bytes) -> Any:
    return json.loads(base64url.decode(token.split(b".")[1]))


def help_of(command: str) -> str:
    """What `--help` prints, at the width of a pipe."""
    program, *arguments = command.split()
    if program == "ein":
        # click keeps two columns of the 80 free; its runner would not.
        return CliRunner().invoke(ein, [*arguments, "--help"], prog_name="ein", terminal_width=78).output
    printed = io.StringIO()
    with (
        mock.patch.dict(os.environ, {"COLUMNS": "80"}),
        contextlib.redirect_stdout(printed),
        contextlib.suppress(SystemExit),
    ):
        issuer_cli.main([*arguments, "--help"])
    return printed.getvalue()


def commands() -> list[str]:
    names = ["ein"]
    for name in sorted(COMMANDS):
        command = ein.get_command(click.Context(ein), name)
        names.append(f"ein {name}")
        if isinstance(command, click.Group):
            names += [f"ein {name} {inner}" for inner in sorted(command.commands)]
    return [*names, *ISSUER_COMMANDS]


def main() -> None:
    feed = REFERENCE / "feed.md"
    text = feed.read_text()
    for name, document in examples().items():
        written = json.dumps(document, indent=2)
        start = text.index(f"<!-- example: {name} -->\n```json\n")
        end = text.index("\n```", text.index("```json", start) + len("```json"))
        text = f"{text[:start]}<!-- example: {name} -->\n```json\n{written}{text[end:]}"
    feed.write_text(text)
    cli = REFERENCE / "cli.md"
    text = cli.read_text()
    head = text.split("<!-- help -->")[0]
    parts = [f"## `{command}`\n```text\n{help_of(command).rstrip()}\n```\n" for command in commands()]
    cli.write_text(f"{head}<!-- help -->\n" + "\n".join(parts))
    schemas.write()


if __name__ == "__main__":
    main()
