"""`ein-issuer`: an issuer's own tool. Makes keys, receives, and prints counts, never content."""

import argparse
import asyncio
import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Final

import aiohttp
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519

from issuernetwork import issuer_enrol, issuer_token_keys
from issuernetwork._jose import SIGNATURES, BadKey, encode_base64url
from issuernetwork.receiver import Inbox, Item, JwksCache, PollFault, PollReceiver, Receiver, Share
from issuernetwork.tokens import Token, TokenSource

TOKEN_ENV: Final = "EIN_ISSUER_TOKEN"  # noqa: S105 - the name of the variable
EXIT_OK: Final = 0
EXIT_USAGE: Final = 2
EXIT_UNREACHABLE: Final = 3
# NIST SP 800-57: 128 bits of security, good beyond 2030.
RSA_BITS: Final = 3072
# P-256 first: it came to JOSE with RFC 7518, X25519 later with RFC 8037.
CURVES: Final = ("P-256", "X25519")


class CliFault(Exception):
    """What to tell the user, and the exit code."""

    def __init__(self, text: str, code: int = EXIT_USAGE) -> None:
        super().__init__(text)
        self.code = code


def main(arguments: list[str] | None = None) -> int:
    """Runs the tool. Exit codes: 0 done, 2 wrong use or files, 3 the transmitter was not reached."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except CliFault as fault:
        print(f"ein-issuer: {fault}", file=sys.stderr)
        return fault.code
    except issuer_enrol.CliFault as fault:
        print(f"ein-issuer: {fault}", file=sys.stderr)
        return EXIT_UNREACHABLE if fault.unreachable else EXIT_USAGE
    except KeyboardInterrupt:
        return EXIT_OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ein-issuer", description="Tool of an issuer's receiver.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    keys = commands.add_parser("keys", help="make keys").add_subparsers(required=True, metavar="COMMAND")
    new = keys.add_parser("new", help="make a key pair: a private JWK (0600) and a public JWK Set")
    new.add_argument("--kid", required=True, help="id of the key, for example bank-2026-11")
    new.add_argument("--use", choices=("enc", "sig"), default="enc", help="sig: to sign with; ES256")
    new.add_argument("--alg", choices=("ECDH-ES+A256KW", "RSA-OAEP-256"), default="ECDH-ES+A256KW")
    new.add_argument("--curve", choices=CURVES, help=f"of ECDH-ES+A256KW; default: {CURVES[0]}")
    new.add_argument(
        "--private", required=True, type=Path, help="file for the private JWK; never overwritten"
    )
    new.add_argument("--public", required=True, type=Path, help="file for the public JWK Set; added to")
    new.set_defaults(run=_keys_new)
    receive = commands.add_parser("receive", help="poll, verify, decrypt; print counts by program")
    receive.add_argument("--transmitter", required=True, help="base URL of the network's feeds")
    receive.add_argument("--recipient-id", required=True)
    receive.add_argument("--stream-id", help="default: stream-<recipient id>")
    receive.add_argument("--iss", help="issuer URL in the tokens; default: the transmitter's URL")
    receive.add_argument(
        "--private", required=True, type=Path, action="append", help="private JWK; repeatable"
    )
    receive.add_argument(
        "--algorithm", choices=SIGNATURES, action="append", help="signature to take; repeatable; default: all"
    )
    receive.add_argument("--token-file", type=Path, help=f"bearer token; default: environment {TOKEN_ENV}")
    receive.add_argument(
        "--signing", type=Path, help="private signing JWK: short-lived tokens by it, in place of a token"
    )
    issuer_enrol.add_tls(receive)
    receive.add_argument("--state", type=Path, help="file that keeps the place in the stream")
    receive.add_argument("--once", action="store_true", help="end when nothing waits")
    receive.add_argument("--json", action="store_true", help="print one JSON object")
    receive.set_defaults(run=_receive)
    issuer_enrol.add_commands(commands, _json_file)
    issuer_token_keys.add_command(commands, _json_file, _fresh_token, _replace_secret)
    return parser


def _keys_new(options: argparse.Namespace) -> int:
    if options.curve is not None and options.alg != "ECDH-ES+A256KW":
        raise CliFault("--curve is for ECDH-ES+A256KW: leave it out with RSA-OAEP-256")
    if options.use == "sig":
        private, public = new_signing_key(options.kid)
    else:
        private, public = new_key(options.kid, options.alg, options.curve or CURVES[0])
    jwks: dict[str, Any] = {"keys": []}
    if options.public.exists():
        jwks = _json_file(options.public)
        if not isinstance(jwks.get("keys"), list):
            raise CliFault("the public file is no JWK Set")
    # Newest first: the network seals to the first key, and to no other where that one has ended.
    jwks["keys"] = [public, *(key for key in jwks["keys"] if key.get("kid") != options.kid)]
    try:
        fd = os.open(options.private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise CliFault("the private file exists: it is never overwritten") from None
    except OSError as fault:
        raise CliFault(f"the private file cannot be written: {fault.strerror}") from None
    with os.fdopen(fd, "w") as file:
        json.dump(private, file, indent=1)
    _replace(options.public, json.dumps(jwks, indent=1) + "\n", mode=0o644)
    print(f"private JWK in {options.private} (0600), public JWK Set in {options.public}")
    return EXIT_OK


def new_key(
    kid: str, alg: str = "ECDH-ES+A256KW", curve: str = CURVES[0]
) -> tuple[dict[str, str], dict[str, str]]:
    """A private JWK and its public half, for `Receiver` and for the network."""
    common = {"kid": kid, "alg": alg, "use": "enc"}
    if alg == "ECDH-ES+A256KW" and curve == "X25519":
        agreement = x25519.X25519PrivateKey.generate()
        x = encode_base64url(agreement.public_key().public_bytes_raw()).decode()
        public = {"kty": "OKP", "crv": "X25519", "x": x, **common}
        return {**public, "d": encode_base64url(agreement.private_bytes_raw()).decode()}, public
    if alg == "ECDH-ES+A256KW":
        key = ec.generate_private_key(ec.SECP256R1()).private_numbers()
        point = key.public_numbers
        public = {"kty": "EC", "crv": "P-256", "x": _octets(point.x, 32), "y": _octets(point.y, 32), **common}
        return {**public, "d": _octets(key.private_value, 32)}, public
    numbers = rsa.generate_private_key(65537, RSA_BITS).private_numbers()
    base = numbers.public_numbers
    public = {"kty": "RSA", "n": _octets(base.n), "e": _octets(base.e), **common}
    secret = {
        "d": numbers.d, "p": numbers.p, "q": numbers.q,
        "dp": numbers.dmp1, "dq": numbers.dmq1, "qi": numbers.iqmp,
    }  # fmt: skip
    return {**public, **{name: _octets(value) for name, value in secret.items()}}, public


def new_signing_key(kid: str) -> tuple[dict[str, str], dict[str, str]]:
    """A private JWK for ES256 and its public half: what an issuer proves itself by."""
    key = ec.generate_private_key(ec.SECP256R1()).private_numbers()
    point, common = key.public_numbers, {"kid": kid, "alg": "ES256", "use": "sig"}
    public = {"kty": "EC", "crv": "P-256", "x": _octets(point.x, 32), "y": _octets(point.y, 32), **common}
    return {**public, "d": _octets(key.private_value, 32)}, public


def _octets(value: int, size: int | None = None) -> str:
    return encode_base64url(value.to_bytes(size or (value.bit_length() + 7) // 8, "big")).decode()


def _bearer(options: argparse.Namespace) -> str:
    token = options.token_file.read_text().strip() if options.token_file else os.environ.get(TOKEN_ENV, "")
    if not token and options.signing is None and options.certificate is None:
        raise CliFault(f"no bearer token: give --token-file or set {TOKEN_ENV}, or --signing, --certificate")
    return token


async def _fresh_token(options: argparse.Namespace, session: aiohttp.ClientSession) -> str:
    """One to send now."""
    token = _token(options, _bearer(options), session)
    return token if isinstance(token, str) else await token()


def _receive(options: argparse.Namespace) -> int:
    token = _bearer(options)
    programs: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    inbox = Inbox()
    if options.state is not None and options.state.exists():
        try:
            inbox.restore(_json_file(options.state))
        except ValueError:
            raise CliFault("the state file is damaged") from None
    poller = asyncio.run(_poll(options, token, inbox, programs, refused))
    counts = poller.counts
    result = {
        "shares": dict(sorted(programs.items())),
        "withdrawn": counts.withdrawn,
        "duplicates": counts.duplicates,
        "refused": dict(sorted(refused.items())),
        "next_seq": inbox.next_seq,
    }
    if options.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:12} {json.dumps(value)}")
    return EXIT_OK


async def _poll(
    options: argparse.Namespace, token: str, inbox: Inbox, programs: Counter[str], refused: Counter[str]
) -> PollReceiver:
    base = options.transmitter.rstrip("/")
    stream_id = options.stream_id or f"stream-{options.recipient_id}"

    def count(item: Item) -> None:
        if isinstance(item, Share):
            programs[item.program] += 1

    def save(state: dict[str, Any]) -> None:
        _replace(options.state, json.dumps(state), mode=0o600)

    async with aiohttp.ClientSession(connector=issuer_enrol.connector(options)) as session:
        jwks = JwksCache(session, f"{base}/.well-known/jwks.json")
        try:
            receiver = Receiver(
                recipient_id=options.recipient_id,
                private_keys=[_json_file(path) for path in options.private],
                jwks=jwks.current,
                iss=options.iss or base,
                algorithms=options.algorithm or SIGNATURES,
            )
        except BadKey as fault:
            raise CliFault(f"a private key cannot be used: {fault}") from None
        poller = PollReceiver(
            session=session,
            poll_url=f"{base}/ssf/streams/{stream_id}/poll",
            token=_token(options, token, session),
            receiver=receiver,
            jwks=jwks,
            handler=count,
            inbox=inbox,
            save_state=save if options.state is not None else None,
            on_refused=lambda _, refusal: refused.update([refusal.code]),
        )
        if not options.once:
            stop = asyncio.Event()
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, stop.set)
            await poller.run(stop)
            return poller
        try:
            while await poller.poll_once(return_immediately=True) and poller.pending:
                pass
        except PollFault as fault:
            raise CliFault(str(fault), EXIT_UNREACHABLE) from None
    return poller


def _token(options: argparse.Namespace, token: str, session: aiohttp.ClientSession) -> Token:
    if options.signing is None:
        return token
    base = options.transmitter.rstrip("/")
    key = issuer_enrol.signing_key(_json_file(options.signing))
    source = TokenSource(session, base, client_id=options.recipient_id, iss=options.iss or base, key=key)
    return source.fresh


def _json_file(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except OSError as fault:
        raise CliFault(f"{path} cannot be read: {fault.strerror}") from None
    except ValueError:
        raise CliFault(f"{path} is not JSON") from None
    if not isinstance(found, dict):
        raise CliFault(f"{path} holds no JSON object")
    return found


def _replace_secret(path: Path, text: str) -> None:
    _replace(path, text, mode=0o600)


def _replace(path: Path, text: str, *, mode: int) -> None:
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(fd, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(fd)
    os.replace(temporary, path)


if __name__ == "__main__":
    raise SystemExit(main())
