"""`ein client`: machines that prove who they are by a key, a secret or a certificate."""

import json
from pathlib import Path
from typing import Any, cast, get_args

import click

from gateway.runtime.clock import SystemClock
from gateway.runtime.entropy import SystemEntropy
from gateway.server.cli.options import config_option, json_option
from gateway.server.clients import (
    Client,
    ClientConflict,
    MachineRole,
    public_signing_keys,
    read_clients,
)
from gateway.server.operators import acting
from gateway.server.secret_words import make_secret
from gateway.server.settings import load_settings
from gateway.server.verbs import identities as verbs
from gateway.server.verbs.identities import Actor
from issuernetwork._jose import BadKey

_reason = click.option("--reason", default="", help="Why, for the audit; at most 256 characters.")


@click.group("client")
def client_command() -> None:
    """Register payment services and issuers by a key, a secret or a certificate, for short-lived tokens."""


@client_command.command("add")
@click.argument("client_id")
@click.option("--principal", "principal_id", help="Who it speaks for; default: CLIENT_ID.")
@click.option("--role", type=click.Choice(get_args(MachineRole)), required=True)
@click.option("--jwks", type=click.Path(dir_okay=False, path_type=Path), help="JWK Set of its signing keys.")
@click.option("--secret", "wants_secret", is_flag=True, help="Make a secret; it is shown once.")
@click.option("--uri", default="", help="What its certificate says in the subject's alternative names.")
@click.option("--bound", is_flag=True, help="Its tokens are of use with its certificate alone; needs --uri.")
@_reason
@config_option
def add_command(
    client_id: str, principal_id: str | None, role: str, jwks: Path | None, wants_secret: bool, uri: str,
    bound: bool, reason: str, config_path: Path,
) -> None:  # fmt: skip
    """Register CLIENT_ID. What runs knows it within a second."""
    settings, clock, entropy = load_settings(config_path), SystemClock(), SystemEntropy()
    state = settings.state
    state.make()
    by = acting(state, settings.issuer_url, clock, entropy)
    secret, digest = make_secret(entropy) if wants_secret else ("", "")
    try:
        keys = () if jwks is None else public_signing_keys(_document(jwks))
        client = Client(
            client_id=client_id, principal_id=principal_id or client_id, role=cast(MachineRole, role),
            keys=keys, secret_sha256=digest, uri=uri, bound=bound, added_by=by, added_at_ms=clock.wall_ms(),
        )  # fmt: skip
        verbs.add_client(state, clock, client, actor=Actor(by, reason))
    except BadKey as fault:
        raise ClientConflict(f"--jwks: {fault}") from None
    click.echo(secret or f"{client_id}: registered")


@client_command.command("list")
@config_option
@json_option
def list_command(config_path: Path, as_json: bool) -> None:
    """List clients with what they prove themselves by. No secret and no hash is shown."""
    rows = [_row(one) for one in read_clients(load_settings(config_path).state.clients)]
    if as_json:
        click.echo(json.dumps({"clients": rows}))
        return
    for row in rows:
        click.echo("{client_id:<32} {role:<8} {principal_id:<32} {proofs}".format(**row))


@client_command.command("remove")
@click.argument("client_id")
@_reason
@config_option
def remove_command(client_id: str, reason: str, config_path: Path) -> None:
    """Remove CLIENT_ID. Its tokens and its certificate are refused within a second."""
    settings, clock = load_settings(config_path), SystemClock()
    by = acting(settings.state, settings.issuer_url, clock, SystemEntropy(), stops=True)
    verbs.remove_client(settings.state, clock, client_id, actor=Actor(by, reason))
    click.echo(f"{client_id}: removed")


def _row(one: Client) -> dict[str, Any]:
    proofs = [f"key {key['kid']}" for key in one.keys]
    proofs += ["secret"] if one.secret_sha256 else []
    proofs += [one.uri] if one.uri else []
    return {
        "client_id": one.client_id, "role": one.role, "principal_id": one.principal_id,
        "proofs": ", ".join(proofs), "bound": one.bound, "added_by": one.added_by,
    }  # fmt: skip


def _document(path: Path) -> object:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        raise ClientConflict("--jwks: the file is not readable as JSON") from None
