"""`ein init`: what a new installation needs before its first start."""

from pathlib import Path

import click

from gateway.runtime.entropy import SystemEntropy
from gateway.server.cli.options import config_option
from gateway.server.settings import load_settings


@click.command("init")
@config_option
def init_command(config_path: Path) -> None:
    """Make the state directory and its keys. Existing keys are kept."""
    from gateway.backends.embedded.keyfiles import OWN_KEYS_FILE, create_keys, load_keys
    from gateway.backends.embedded.seen_ids import begin_seen_ids

    state = load_settings(config_path).state
    state.make()
    if (state.keys / OWN_KEYS_FILE).exists():
        load_keys(state.keys)
        click.echo(f"{state.root}: ready, keys kept")
        return
    # Before there are keys nothing was taken: the first token is, at once.
    begin_seen_ids(state.seen_ids)
    create_keys(state.keys, SystemEntropy())
    click.echo(f"{state.root}: ready")
