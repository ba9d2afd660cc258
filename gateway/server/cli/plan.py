"""`ein plan`: what a folder of documents would change, before anything does."""

import json
from pathlib import Path

import click

from gateway.backends.embedded.journal import FileJournalReader
from gateway.backends.embedded.policy import SqlitePolicyStore
from gateway.programs.table import compile_table
from gateway.runtime.clock import SystemClock
from gateway.runtime.disk import RealDisk
from gateway.server import exit_codes
from gateway.server.cli.options import config_option, json_option
from gateway.server.cli.plan_text import plan_json, plan_lines
from gateway.server.policy import keys_missing, plan_change, read_policy
from gateway.server.recent_cards import recent_cards
from gateway.server.settings import load_settings


@click.command("plan")
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--check", is_flag=True, help="Exit code 1 where something would change.")
@config_option
@json_option
def plan_command(directory: Path, check: bool, config_path: Path, as_json: bool) -> None:
    """Show what the documents in DIRECTORY would change, and change nothing.

    Who gains or loses which field, for which regions and tiers; how many cards of the last day would change
    arm; what deserves a second look. Refuses what `ein apply` would refuse.
    """
    settings, clock = load_settings(config_path), SystemClock()
    state = settings.state
    state.make()
    store = SqlitePolicyStore(str(state.policy_db), clock)
    try:
        change, before, after = plan_change(store, read_policy(directory), clock=clock)
    finally:
        store.close()
    now_ms = clock.wall_ms()
    recent = recent_cards(FileJournalReader(RealDisk(), state.gateway_journal), now_ms=now_ms)
    moves = recent.sample.moves(compile_table(before), compile_table(after)) if change.changes else ()
    cards = {
        "cards": recent.sample.cards,
        "each_stands_for": recent.sample.each_stands_for,
        "covered_ms": now_ms - recent.since_ms if recent.since_ms else 0,
    }
    if as_json:
        click.echo(json.dumps(plan_json(change, moves, cards)))
    else:
        for line in plan_lines(change, moves, cards):
            click.echo(line)
    for issue in keys_missing(settings, after, clock):
        click.echo(f"warning: {issue}", err=True)
    raise click.exceptions.Exit(exit_codes.CHECK_FAILED if check and change.changes else exit_codes.DONE)
