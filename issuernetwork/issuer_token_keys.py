"""`ein-issuer token-keys`: the keys behind one's card tokens, in a file that nobody else may read."""

import argparse
import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp

from issuernetwork import issuer_enrol
from issuernetwork._jose import SIGNATURES, BadKey, RefusedToken
from issuernetwork.issuer_enrol import CliFault
from issuernetwork.receiver import JwksCache, PollFault
from issuernetwork.token_keys import TokenKeys
from issuernetwork.tokens import AskFault

Read = Callable[[Path], dict[str, Any]]
Fresh = Callable[[argparse.Namespace, aiohttp.ClientSession], Awaitable[str]]
Write = Callable[[Path, str], None]


def add_command(commands: Any, read: Read, fresh: Fresh, write: Write) -> None:
    """Adds it to the tool's parser. `fresh` gives a bearer token, `write` replaces a file of mode 0600."""
    one = commands.add_parser("token-keys", help="fetch the keys that your card tokens are made by")
    one.add_argument("--transmitter", required=True, help="base URL of the network's feeds")
    one.add_argument("--recipient-id", required=True)
    one.add_argument("--iss", help="issuer URL in the tokens; default: the transmitter's URL")
    one.add_argument("--private", required=True, type=Path, action="append", help="private JWK; repeatable")
    one.add_argument(
        "--algorithm", choices=SIGNATURES, action="append", help="signature to take; repeatable; default: all"
    )
    one.add_argument("--token-file", type=Path, help="bearer token; default: environment EIN_ISSUER_TOKEN")
    one.add_argument(
        "--signing", type=Path, help="private signing JWK: short-lived tokens by it, in place of a token"
    )
    issuer_enrol.add_tls(one)
    one.add_argument("--out", required=True, type=Path, help="file for the keys, a JWK Set (0600); added to")
    one.set_defaults(run=lambda options: _run(options, read, fresh, write))


def _run(options: argparse.Namespace, read: Read, fresh: Fresh, write: Write) -> int:
    try:
        keys = asyncio.run(_fetch(options, read, fresh))
    except (AskFault, PollFault) as fault:
        raise CliFault(str(fault), unreachable=True) from None
    except RefusedToken as refused:
        raise CliFault(f"a token key is not taken: {refused.code}") from None
    write(options.out, json.dumps(keys.state(), indent=1) + "\n")
    print(json.dumps({"epochs": list(keys.epochs)}))
    return 0


async def _fetch(options: argparse.Namespace, read: Read, fresh: Fresh) -> TokenKeys:
    base = options.transmitter.rstrip("/")
    async with aiohttp.ClientSession(connector=issuer_enrol.connector(options)) as session:
        jwks = JwksCache(session, f"{base}/.well-known/jwks.json")
        try:
            keys = TokenKeys(
                recipient_id=options.recipient_id,
                private_keys=[read(path) for path in options.private],
                jwks=jwks.current,
                iss=options.iss or base,
                algorithms=options.algorithm or SIGNATURES,
            )
        except BadKey as fault:
            raise CliFault(f"a private key cannot be used: {fault}") from None
        if options.out.exists():
            try:
                keys.restore(read(options.out))
            except ValueError:
                raise CliFault("the file of keys is damaged, or another recipient's: move it away") from None
        token = await fresh(options, session)
        await jwks.refresh()
        await keys.fetch(session, base, token=token)
    return keys
