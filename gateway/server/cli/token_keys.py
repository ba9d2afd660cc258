"""`ein keys rotate-tokens` and `token-epochs`: epochs of recipients' card tokens, scheduled and shown."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import click

from gateway.backends.embedded.recipient_files import recipients_with_keys
from gateway.backends.embedded.token_keys import SqliteTokenKeys
from gateway.runtime.clock import SystemClock
from gateway.runtime.entropy import SystemEntropy
from gateway.sealing.keys import KeyRefused
from gateway.sealing.token_epochs import first_free_epoch
from gateway.server.cli.options import config_option, duration_ms, json_option
from gateway.server.cli.telling import at_text
from gateway.server.operators import acting
from gateway.server.own_keys import key_files
from gateway.server.settings import Settings, load_settings
from gateway.server.verbs.token_epochs import TokenEpochDesk

AHEAD_DEFAULT: Final = "24h"
"""Recipients fetch their token keys once a day."""

OVERLAP_DEFAULT: Final = "7d"
"""Cards that are used weekly come by under both tokens."""

LOST_AHEAD: Final = "10s"
"""Ten looks of every process at the key file."""

REGULAR: Final = "regular change"


@click.command("rotate-tokens")
@click.argument("recipient_id", required=False, default="")
@click.option("--all", "everybody", is_flag=True, help="Every recipient but those that are changing already.")
@click.option("--ahead", default="", help=f"Begin so long from now: 90s, 7d. [default: {AHEAD_DEFAULT}]")
@click.option("--overlap", default="", help=f"Give both tokens for so long. [default: {OVERLAP_DEFAULT}]")
@click.option(
    "--lost",
    is_flag=True,
    help=f"The key is in others' hands: in {LOST_AHEAD}, without an overlap, ending one that is under way."
    " Needs --reason.",
)
@click.option("--reason", default="", help=f"Why, for the audit. [default: {REGULAR}]")
@config_option
def rotate_tokens_command(
    recipient_id: str, everybody: bool, ahead: str, overlap: str, lost: bool, reason: str, config_path: Path
) -> None:
    """Schedule the next epoch of RECIPIENT_ID's card tokens.

    It fetches the key by `ein-issuer token-keys`, from now on.
    """
    if bool(recipient_id) == everybody:
        raise click.UsageError("give a RECIPIENT_ID, or --all")
    if lost and not reason.strip():
        raise click.UsageError("--lost needs --reason: what is stored under the old tokens cannot be joined")
    settings = load_settings(config_path)
    known = recipients_with_keys(settings.state.keys)
    if recipient_id and recipient_id not in known:
        raise KeyRefused("recipient_id: it has no keys here; `ein issuer list` shows who enrolled")
    by = acting(settings.state, settings.issuer_url, SystemClock(), SystemEntropy())
    with _desk(settings) as desk:
        done = desk.schedule(
            known if everybody else [recipient_id],
            ahead_ms=duration_ms("ahead", ahead or (LOST_AHEAD if lost else AHEAD_DEFAULT)),
            overlap_ms=duration_ms("overlap", overlap or ("0s" if lost else OVERLAP_DEFAULT)),
            by=by, reason=reason or REGULAR, skip_changing=everybody, lost=lost,
        )  # fmt: skip
    for name, one in done.changes.items():
        both = f"; both tokens until {at_text(one.both_until_ms)}Z" if one.both_until_ms > one.from_ms else ""
        click.echo(f"{name}: epoch {one.epoch} from {at_text(one.from_ms)}Z{both}")
    for name in done.changing:
        click.echo(f"{name}: changing already, left as it is")


@click.command("token-epochs")
@config_option
@json_option
def token_epochs_command(config_path: Path, as_json: bool) -> None:
    """Show the epochs of each recipient's card tokens, in use and to come, and whether it has the key."""
    settings = load_settings(config_path)
    with _desk(settings) as desk:
        told = desk.told(recipients_with_keys(settings.state.keys))
    if as_json:
        rows = [
            {
                "recipient_id": one.recipient_id, "epoch": one.span.epoch, "from_ms": one.span.from_ms,
                "until_ms": one.span.until_ms, "in_use": one.now, "fetched": one.fetched,
            }
            for one in told
        ]  # fmt: skip
        click.echo(json.dumps({"token_epochs": rows}))
        return
    for one in told:
        begins = "in use" if one.now else f"from {at_text(one.span.from_ms)}Z"
        until = f" until {at_text(one.span.until_ms)}Z" if one.span.until_ms else ""
        fetched = "key fetched" if one.fetched else "key not fetched yet"
        click.echo(f"{one.recipient_id:<24} epoch {one.span.epoch}  {begins}{until}; {fetched}")


@contextmanager
def _desk(settings: Settings) -> Iterator[TokenEpochDesk]:
    clock = SystemClock()
    with closing(SqliteTokenKeys(str(settings.state.policy_db), clock)) as events:
        first_free = first_free_epoch(settings.state.restored_at_ms())
        yield TokenEpochDesk(key_files(settings, clock), events, clock, first_free)
