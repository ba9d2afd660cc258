"""`ein backup` and `ein restore`: a consistent copy of the installation, and back."""

import json
import os
from pathlib import Path

import click

from gateway.runtime.clock import SystemClock
from gateway.runtime.disk import RealDisk
from gateway.server.cli.options import config_option, json_option
from gateway.server.retention import time_text
from gateway.server.settings import FilesKeys, load_settings

BEHIND = 10
"""Of nice(2): a backup leaves the processor to payments where they want it."""


@click.command("backup")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--with-passphrase", is_flag=True, help="Keep keys/passphrase too: the archive then opens the keys."
)
@config_option
@json_option
def backup_command(file: Path, with_passphrase: bool, config_path: Path, as_json: bool) -> None:
    """Write journals, databases, lake, keys and policy to FILE, beside the running processes."""
    from gateway.server.backup.backup import back_up

    settings = load_settings(config_path)
    os.nice(BEHIND)
    now_ms = SystemClock().wall_ms()
    done = back_up(settings.state, file, RealDisk(), now_ms=now_ms, with_passphrase=with_passphrase)
    if as_json:
        answer = {
            "file": str(file), "began_at_ms": now_ms, "files": len(done.manifest.files),
            "bytes": done.manifest.size_bytes, "with_passphrase": done.has_passphrase,
            "unknown": list(done.unknown),
        }  # fmt: skip
        click.echo(json.dumps(answer))
        return
    size = f"{done.manifest.size_bytes:,} bytes in {len(done.manifest.files):,} files"
    click.echo(f"{file}: {size}, as of {time_text(now_ms)}")
    if done.has_passphrase:
        click.echo("with keys/passphrase: whoever has this file has the keys")
    elif isinstance(settings.keys, FilesKeys):
        click.echo("without the passphrase of the keys: keep it elsewhere, or nothing here opens")
    else:
        click.echo(
            f"without what opens the keys: keep the store ({settings.keys.store}), or nothing here opens"
        )
    for name in done.unknown:
        click.echo(f"left out, unknown: {name}")


@click.command("restore")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@config_option
@json_option
def restore_command(file: Path, config_path: Path, as_json: bool) -> None:
    """Put what FILE holds into the empty state directory of the settings."""
    from gateway.server.backup.restore import restore_state

    settings = load_settings(config_path)
    restored = restore_state(settings, file, RealDisk(), now_ms=SystemClock().wall_ms())
    manifest = restored.manifest
    if as_json:
        answer = {
            "state_dir": str(settings.state.root), "began_at_ms": manifest.began_at_ms,
            "files": len(manifest.files), "bytes": manifest.size_bytes,
            "first_free_seq": restored.first_free_seq,
        }  # fmt: skip
        click.echo(json.dumps(answer))
        return
    click.echo(
        f"{settings.state.root}: {len(manifest.files):,} files as of {time_text(manifest.began_at_ms)}"
    )
    click.echo(f"streams go on at stream_seq {restored.first_free_seq}")
    click.echo(
        "gone, to be done again before the start: what was killed, paused or taken back since, lost keys,"
        " and policy"
    )
