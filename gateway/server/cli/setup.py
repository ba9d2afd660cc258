"""`ein init` and `ein token`: what a new installation needs before its first start."""

from pathlib import Path
from typing import cast

import click

from gateway.runtime.entropy import SystemEntropy
from gateway.server.cli.options import config_option
from gateway.server.identity import Role, issue_token
from gateway.server.settings import load_settings


@click.command("init")
@config_option
def init_command(config_path: Path) -> None:
    """Make the state directory and its keys. Existing keys are kept."""
    from gateway.backends.embedded.keyfiles import OWN_KEYS_FILE, create_keys, load_keys

    state = load_settings(config_path).state
    state.make()
    if (state.keys / OWN_KEYS_FILE).exists():
        load_keys(state.keys)
        click.echo(f"{state.root}: ready, keys kept")
        return
    create_keys(state.keys, SystemEntropy())
    click.echo(f"{state.root}: ready")


@click.command("token")
@click.argument("principal_id")
@click.option("--role", type=click.Choice(["caller", "issuer", "operator", "auditor"]), required=True)
@config_option
def token_command(principal_id: str, role: str, config_path: Path) -> None:
    """Issue a bearer token for PRINCIPAL_ID. It is shown once; only its hash is kept."""
    state = load_settings(config_path).state
    state.make()
    click.echo(issue_token(state, principal_id=principal_id, role=cast(Role, role), entropy=SystemEntropy()))
