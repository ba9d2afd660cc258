"""`ein verify`: does the account add up?"""

import json
from pathlib import Path

import click

from gateway.outcomes.conservation import AccountResult
from gateway.server.cli.options import config_option, json_option
from gateway.server.settings import load_settings


def render_account(account: AccountResult) -> str:
    """The account as lines of text."""
    lines = [f"  {name.replace('_', ' '):<36}{count:>10,}" for name, count in account.columns.items()]
    lines += [f"    withheld: {reason:<24}{count:>10,}" for reason, count in sorted(account.withheld.items())]
    lines += [f"  BROKEN {rule}: for example {', '.join(ids)}" for rule, ids in account.broken.items()]
    lines.append("the account adds up" if account.adds_up else "THE ACCOUNT DOES NOT ADD UP")
    return "\n".join(lines)


@click.command("verify")
@click.option(
    "--sender",
    "sender_lists",
    multiple=True,
    required=True,
    type=click.Path(exists=True, path_type=Path),
    help="The sender's list (NDJSON); repeat for more.",
)
@click.option(
    "--receiver",
    "receiver_logs",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    help="A receiver's log (NDJSON); repeat for more.",
)
@config_option
@json_option
def verify_command(
    sender_lists: tuple[Path, ...], receiver_logs: tuple[Path, ...], config_path: Path, as_json: bool
) -> None:
    """Add up what was sent, recorded and received. Exit code 1 when something is lost or doubled."""
    from gateway.server.account import build_account

    account = build_account(
        load_settings(config_path).state, sender_lists=sender_lists, receiver_logs=receiver_logs
    )
    click.echo(json.dumps(account.as_json()) if as_json else render_account(account))
    raise click.exceptions.Exit(0 if account.adds_up else 1)
