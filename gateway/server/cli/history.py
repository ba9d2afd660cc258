"""`ein history` and `ein rollback`: what was in force when and by whom, and the way back."""

import json
from pathlib import Path
from typing import Any

import click

from gateway.backends.embedded.policy import PolicyEvent, SqlitePolicyStore
from gateway.runtime.clock import SystemClock
from gateway.runtime.entropy import SystemEntropy
from gateway.server.cli.options import config_option, json_option
from gateway.server.cli.programs import tell_applied
from gateway.server.cli.telling import at_text
from gateway.server.operators import acting
from gateway.server.policy import roll_back
from gateway.server.settings import load_settings

MAX_EVENTS = 10_000
"""Told at most: years of changes; a store has them all."""


@click.command("history")
@click.option(
    "--limit",
    type=click.IntRange(1, MAX_EVENTS),
    default=50,
    show_default=True,
    help="So many of the newest events.",
)
@config_option
@json_option
def history_command(limit: int, config_path: Path, as_json: bool) -> None:
    """List policies, kills, pauses, resumes and revivals in the order in which they were written."""
    state = load_settings(config_path).state
    state.make()
    store = SqlitePolicyStore(str(state.policy_db), SystemClock())
    try:
        in_force, events = store.version(), store.history(limit)
    finally:
        store.close()
    if as_json:
        click.echo(json.dumps({"policy_version": in_force, "events": [_row(one) for one in events]}))
        return
    for one in events:
        click.echo(f"{at_text(one.at_ms)}  {_what(one, in_force):<52} {one.actor}: {one.reason}")


def _what(event: PolicyEvent, in_force: int) -> str:
    if not event.policy_version:
        return f"epoch {event.switch_epoch}: {event.program} {event.issuer_id or 'for all'} {event.what}"
    back = f" to policy {event.restored_from}" if event.restored_from else ""
    here = ", in force" if event.policy_version == in_force else ""
    return f"policy {event.policy_version}: {event.what}{back}{here}"


def _row(event: PolicyEvent) -> dict[str, Any]:
    row: dict[str, Any] = {"what": event.what, "actor": event.actor, "reason": event.reason}
    row["at_ms"] = event.at_ms
    if event.policy_version:
        return {**row, "policy_version": event.policy_version, "restored_from": event.restored_from or None}
    return {
        **row,
        "switch_epoch": event.switch_epoch,
        "program": event.program,
        "issuer_id": event.issuer_id or None,
    }


@click.command("rollback")
@click.argument("version", type=click.IntRange(min=1))
@click.option("--reason", required=True, help="Why, for the audit; at most 256 characters.")
@config_option
@json_option
def rollback_command(version: int, reason: str, config_path: Path, as_json: bool) -> None:
    """Put the documents of policy VERSION in force again, as a new snapshot.

    Switches stay: a kill stays a kill. Refused where the documents are accepted no longer.
    """
    settings = load_settings(config_path)
    state, clock = settings.state, SystemClock()
    state.make()
    actor = acting(state, settings.issuer_url, clock, SystemEntropy())
    store = SqlitePolicyStore(str(state.policy_db), clock)
    try:
        applied = roll_back(store, version, reason=reason, actor=actor, clock=clock)
    finally:
        store.close()
    tell_applied(applied, as_json=as_json)
