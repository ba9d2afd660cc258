"""What several commands tell in the same words."""

import json
from datetime import UTC, datetime

import click

from gateway.programs.switches import Stopped
from gateway.server import exit_codes


def at_text(at_ms: int) -> str:
    """When something stands on record, to the second, UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def tell_effect(what: str, effect: Stopped, *, as_json: bool, **more: object) -> None:
    """When an act of the registry came into effect. Ends the command with 1 where some worker still waits.

    `more` goes into the JSON alone.
    """
    if as_json:
        told = {
            "consent_epoch": effect.epoch, "effective_after_ms": effect.effective_after_ms,
            "workers_acknowledged": list(effect.workers_acknowledged),
            "workers_waiting": list(effect.workers_waiting), **more,
        }  # fmt: skip
        click.echo(json.dumps(told))
    else:
        click.echo(f"{what}: in effect after {effect.effective_after_ms} ms (epoch {effect.epoch})")
    if effect.workers_waiting:
        if not as_json:
            click.echo(f"  NOT YET IN EFFECT at: {', '.join(effect.workers_waiting)}. End these workers.")
        raise click.exceptions.Exit(exit_codes.CHECK_FAILED)
