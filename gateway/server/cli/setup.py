"""`ein init`: what a new installation needs before its first start."""

from pathlib import Path

import click

from gateway.server.cli.options import config_option
from gateway.server.settings import load_settings


@click.command("init")
@config_option
def init_command(config_path: Path) -> None:
    """Make the state directory and its keys. Existing keys are kept."""
    from gateway.backends.embedded.own_file import OWN_KEYS_FILE
    from gateway.backends.embedded.seen_ids import begin_seen_ids
    from gateway.runtime.clock import SystemClock
    from gateway.server.own_keys import key_files

    settings = load_settings(config_path)
    state, files = settings.state, key_files(settings, SystemClock())
    state.make()
    if (state.keys / OWN_KEYS_FILE).exists():
        files.load()
        click.echo(f"{state.root}: ready, keys kept")
        return
    # Before there are keys nothing was taken: the first token is, at once.
    begin_seen_ids(state.seen_ids)
    files.create()
    click.echo(f"{state.root}: ready")
