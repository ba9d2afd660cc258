"""`ein keys`: our own signing keys, one for each algorithm that a recipient's document names."""

import json
from pathlib import Path

import click

from gateway.backends.embedded.keyfiles import add_signing_keys, load_keys
from gateway.runtime.entropy import SystemEntropy
from gateway.sealing.keys import SignatureAlgorithm
from gateway.server.cli.options import config_option
from gateway.server.settings import load_settings


@click.group("keys")
def keys_command() -> None:
    """Make and show the keys that streams are signed with."""


@keys_command.command("add")
@click.argument("algorithm", type=click.Choice([str(alg) for alg in SignatureAlgorithm]))
@config_option
def add_command(algorithm: str, config_path: Path) -> None:
    """Make a signing key for ALGORITHM where there is none. No key that is there changes."""
    keys = load_settings(config_path).state.keys
    had = {key.kid for key in load_keys(keys).signing_keys}
    own = add_signing_keys(keys, [SignatureAlgorithm(algorithm)], SystemEntropy())
    made = [key.kid for key in own.signing_keys if key.kid not in had]
    if not made:
        click.echo(f"{algorithm}: there is a key already, nothing is changed")
        return
    click.echo(f"{algorithm}: made {made[0]}; start the gateway and the feeds anew, then receivers find it")


@keys_command.command("list")
@config_option
def list_command(config_path: Path) -> None:
    """Show algorithm and id of each signing key."""
    for key in load_keys(load_settings(config_path).state.keys).signing_keys:
        click.echo(f"{key.alg}  {key.kid}")


@keys_command.command("show-jwks")
@config_option
def show_jwks_command(config_path: Path) -> None:
    """Print the public halves as the JWK Set that the feeds publish."""
    click.echo(json.dumps(load_keys(load_settings(config_path).state.keys).public_jwks(), indent=1))
