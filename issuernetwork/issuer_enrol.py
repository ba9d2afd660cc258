"""`ein-issuer enrol` and `rotate`: an issuer's keys, submitted and proven by itself. And how it connects."""

import argparse
import asyncio
import json
import os
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import aiohttp

from issuernetwork._jose import BadKey
from issuernetwork.enrolment import Enroller, Keys, public_set
from issuernetwork.tokens import AskFault, SignKey, TokenSource, sign_key

INVITE_ENV: Final = "EIN_ISSUER_INVITE"


class CliFault(Exception):
    """What to tell the user; `unreachable` where it is the network's side."""

    def __init__(self, text: str, *, unreachable: bool = False) -> None:
        super().__init__(text)
        self.unreachable = unreachable


def add_commands(commands: Any, read: Callable[[Path], dict[str, Any]]) -> None:
    """Adds both to the tool's parser. `read` reads a JSON object from a file."""
    for name, text in (
        ("enrol", "enrol with an invitation: submit keys and prove that you have them"),
        ("rotate", "submit new keys, under one that is in force"),
    ):
        one = commands.add_parser(name, help=text)
        one.add_argument("--transmitter", required=True, help="base URL of the network's feeds")
        one.add_argument("--recipient-id", required=True)
        one.add_argument("--iss", help="issuer URL in the tokens; default: the transmitter's URL")
        one.add_argument("--private", required=True, type=Path, help="private JWK that data is sealed to")
        one.add_argument(
            "--signing", required=True, type=Path, action="append", help="private signing JWK; repeatable"
        )
        if name == "enrol":
            one.add_argument("--token-file", type=Path, help=f"invitation; default: environment {INVITE_ENV}")
        else:
            one.add_argument("--signed-by", required=True, type=Path, help="private signing JWK in force now")
        one.add_argument("--contact", help="for example mailto:keys@bank.example")
        one.add_argument("--push", help="https address for push delivery, where you have one")
        add_tls(one)
        one.set_defaults(run=lambda options: _run(options, read))


def add_tls(parser: argparse.ArgumentParser) -> None:
    """How to connect: whom to believe, and what to show."""
    parser.add_argument("--ca", type=Path, help="PEM of the authority behind the network's certificate")
    parser.add_argument("--certificate", type=Path, help="PEM of your client certificate")
    parser.add_argument("--certificate-key", type=Path, help="PEM of its key")


def connector(options: argparse.Namespace) -> aiohttp.TCPConnector:
    """For a session, inside its event loop. Raises CliFault."""
    try:
        context = ssl.create_default_context(cafile=options.ca)
        if options.certificate is not None:
            context.load_cert_chain(options.certificate, options.certificate_key)
    except (OSError, ssl.SSLError):
        raise CliFault("--ca, --certificate, --certificate-key: not usable PEM files") from None
    return aiohttp.TCPConnector(ssl=context)


def signing_key(document: dict[str, Any]) -> SignKey:
    """Raises CliFault."""
    try:
        return sign_key(document)
    except BadKey as fault:
        raise CliFault(f"a signing key cannot be used: {fault}") from None


def _run(options: argparse.Namespace, read: Callable[[Path], dict[str, Any]]) -> int:
    sealing, documents = read(options.private), [read(path) for path in options.signing]
    keys = Keys(
        public=public_set([sealing, *documents]), sealing=sealing,
        signing=tuple(signing_key(one) for one in documents),
    )  # fmt: skip
    current = signing_key(read(options.signed_by)) if hasattr(options, "signed_by") else None
    try:
        print(json.dumps(asyncio.run(_enrol(options, keys, current))))
    except AskFault as fault:
        raise CliFault(str(fault), unreachable=True) from None
    return 0


async def _enrol(options: argparse.Namespace, keys: Keys, current: SignKey | None) -> dict[str, Any]:
    base = options.transmitter.rstrip("/")
    iss = options.iss or base
    async with aiohttp.ClientSession(connector=connector(options)) as session:
        if current is None:
            token = _invitation(options)
        else:
            source = TokenSource(session, base, client_id=options.recipient_id, iss=iss, key=current)
            token = await source.fresh()
        enroller = Enroller(session, base, recipient_id=options.recipient_id, iss=iss)
        endpoints = {name: value for name in ("contact", "push") if (value := getattr(options, name))}
        return await enroller.enrol(keys, token=token, endpoints=endpoints, under=current)


def _invitation(options: argparse.Namespace) -> str:
    try:
        token = options.token_file.read_text() if options.token_file else os.environ.get(INVITE_ENV, "")
    except OSError as fault:
        raise CliFault(f"--token-file cannot be read: {fault.strerror}") from None
    # A certificate that is registered stands for an invitation.
    if not token.strip() and options.certificate is None:
        raise CliFault(f"no invitation: give --token-file, or set {INVITE_ENV}, or show a --certificate")
    return str(token).strip()
