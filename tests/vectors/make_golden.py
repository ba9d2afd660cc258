"""Makes the golden vectors that an issuer in any language can test with (golden/README.md)."""

import argparse
import json
from pathlib import Path
from typing import Any

from gateway.sealing.keys import SignatureAlgorithm
from tests.kit.jwks import public_jwks
from tests.vectors.golden_clear import clear
from tests.vectors.golden_contact import contact
from tests.vectors.golden_keys import public_half, unsafe_recipient_jwks, unsafe_signing_key
from tests.vectors.golden_refused import refused
from tests.vectors.golden_shares import ISS, RECIPIENT_ID, shares
from tests.vectors.golden_token_keys import token_keys

GOLDEN = Path(__file__).resolve().parent / "golden"


def public_documents() -> dict[str, Any]:
    """The network's public keys and the recipient's, by name of the file."""
    signing = tuple(unsafe_signing_key(alg) for alg in SignatureAlgorithm)
    return {
        "jwks.json": public_jwks(signing),
        "recipient.jwks.json": {"keys": [public_half(key) for key in unsafe_recipient_jwks()]},
    }


def documents() -> dict[str, Any]:
    """Every file by its name."""
    expected = {"iss": ISS, "aud": RECIPIENT_ID}
    return {
        **public_documents(),
        "shares.json": {**expected, "shares": shares()},
        "clear.json": {**expected, "shares": clear()},
        "refused.json": {**expected, "refused": refused()},
        "token_keys.json": {**expected, "token_keys": token_keys()},
        "contact.json": contact(),
    }


def main(arguments: list[str] | None = None) -> None:
    """Prints the private test keys, or writes the files."""
    parser = argparse.ArgumentParser(prog="python -m tests.vectors.make_golden", description=__doc__)
    parser.add_argument(
        "what",
        choices=("private", "write"),
        help="private: print the recipient's private test keys; write: make the files anew",
    )
    parser.add_argument("files", nargs="*", help="of those to write; default: all")
    asked = parser.parse_args(arguments)
    if asked.what == "private":
        print(json.dumps({"keys": unsafe_recipient_jwks()}, indent=1))
        return
    for name, document in documents().items():
        if asked.files and name not in asked.files:
            continue
        (GOLDEN / name).write_text(json.dumps(document, indent=1) + "\n")
        print(f"{name} written")


if __name__ == "__main__":
    main()
