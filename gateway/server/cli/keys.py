"""`ein keys`: our own signing keys, made, rotated, retired and destroyed while the processes run."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import click

from gateway.backends.embedded.approvals import SqliteApprovals
from gateway.backends.embedded.key_acts import KeyAct, KeyVerb, SqliteKeyActs
from gateway.backends.embedded.keyfiles import rewrap
from gateway.backends.embedded.own_file import OWN_KEYS_FILE
from gateway.backends.embedded.passphrase import PassphraseUnwrapper
from gateway.runtime.clock import SystemClock
from gateway.runtime.entropy import SystemEntropy
from gateway.sealing.keys import SignatureAlgorithm
from gateway.server.cli.audit import own_jwks
from gateway.server.cli.options import config_option, duration_ms, json_option
from gateway.server.cli.telling import at_text
from gateway.server.cli.token_keys import rotate_tokens_command, token_epochs_command
from gateway.server.operators import acting
from gateway.server.own_keys import key_files, opener
from gateway.server.settings import Settings, load_settings
from gateway.server.verbs.keys import KeyDesk, Listed, hold_text

AHEAD_DEFAULT: Final = "1h"
"""Sixty times what receivers keep a JWK Set, so that one that was away for a while has it too."""

REGULAR: Final = "regular rotation"
RETIRE: Final = "retired by hand"
ADD: Final = "first key of its algorithm"
REWRAP: Final = "keys moved"

_algorithm = click.argument("algorithm", type=click.Choice([str(alg) for alg in SignatureAlgorithm]))


@click.group("keys")
def keys_command() -> None:
    """Make, rotate, retire and show the keys that we sign with."""


keys_command.add_command(rotate_tokens_command)
keys_command.add_command(token_epochs_command)


@keys_command.command("add")
@_algorithm
@click.option("--reason", default=ADD, show_default=True, help="Why, for the audit.")
@config_option
def add_command(algorithm: str, reason: str, config_path: Path) -> None:
    """Make a signing key for ALGORITHM where there is none. No key that is there changes."""
    with _desk(config_path) as (desk, settings):
        made = desk.add(SignatureAlgorithm(algorithm), by=_acting(settings), reason=reason)
    if made is None:
        click.echo(
            f"{algorithm}: there is a key already, nothing is changed; `ein keys rotate` makes another"
        )
        return
    click.echo(f"{algorithm}: made {made.kid}; what runs signs with it from {at_text(made.use_from_ms)}Z")


@keys_command.command("rotate")
@_algorithm
@click.option(
    "--ahead",
    default=AHEAD_DEFAULT,
    show_default=True,
    help="Publish it for so long before it is used: 90s, 10m.",
)
@click.option(
    "--now", "at_once", is_flag=True, help="Use it at once: the key in use was stolen. Needs --reason."
)
@click.option("--reason", default="", help=f"Why, for the audit. [default: {REGULAR}]")
@config_option
def rotate_command(algorithm: str, ahead: str, at_once: bool, reason: str, config_path: Path) -> None:
    """Make another key for ALGORITHM, published now, that takes over from the one in use later."""
    if at_once and not reason.strip():
        raise click.UsageError("--now needs --reason: receivers may refuse what it signs for a minute")
    with _desk(config_path) as (desk, settings):
        made = desk.rotate(
            SignatureAlgorithm(algorithm), ahead_ms=duration_ms("ahead", ahead), at_once=at_once,
            by=_acting(settings), reason=reason or REGULAR,
        )  # fmt: skip
    click.echo(f"{algorithm}: made {made.kid}; it takes over at {at_text(made.use_from_ms)}Z")


@keys_command.command("retire")
@click.argument("kid")
@click.option("--reason", default=RETIRE, show_default=True, help="Why, for the audit.")
@config_option
def retire_command(kid: str, reason: str, config_path: Path) -> None:
    """Take KID out of the JWK Set and end its private half. The feeds do it by themselves when it is due."""
    with _desk(config_path) as (desk, settings):
        desk.retire(kid, by=_acting(settings), reason=reason)
    click.echo(f"{kid}: retired; its public half is kept for the ledger")


@keys_command.command("destroy")
@click.argument("kid")
@click.option("--reason", required=True, help="Why, for the audit; at most 256 characters.")
@config_option
def destroy_command(kid: str, reason: str, config_path: Path) -> None:
    """Ask to end KID whatever is still signed by it, as after a theft. An approver approves."""
    with _desk(config_path) as (desk, settings):
        state = settings.state
        with closing(SqliteApprovals(str(state.policy_db), SystemClock())) as approvals:
            asked = desk.ask_destroy(state, approvals, kid, by=_acting(settings), reason=reason)
    click.echo(f"{kid}: waits for another approver: ein approve {asked.approval_id}")


@keys_command.command("list")
@click.option("--all", "everything", is_flag=True, help="Retired ones too.")
@config_option
@json_option
def list_command(everything: bool, config_path: Path, as_json: bool) -> None:
    """Show each signing key: its state, since or from when, and what holds up its retirement."""
    with _desk(config_path) as (desk, _):
        listed = desk.listed()
        retired = desk.files.load().ring.retired if everything else ()
    if as_json:
        rows = [_row(one) for one in listed]
        gone = [
            {"kid": one.kid, "alg": one.public["alg"], "state": "retired", "retired_at_ms": one.retired_at_ms}
            for one in retired
        ]
        click.echo(json.dumps({"keys": [*rows, *gone]}))
        return
    for one in listed:
        click.echo(f"{one.key.alg:<6} {one.key.kid:<24} {one.state:<11} {_told(one)}")
    for old in retired:
        click.echo(f"{old.public['alg']:<6} {old.kid:<24} retired     at {at_text(old.retired_at_ms)}Z")


@keys_command.command("show-jwks")
@click.option(
    "--retired", is_flag=True, help="Retired keys too, for old heads of the ledger and certificates."
)
@config_option
def show_jwks_command(retired: bool, config_path: Path) -> None:
    """Print the public halves as the JWK Set that the feeds publish."""
    settings = load_settings(config_path)
    own = key_files(settings, SystemClock()).load()
    click.echo(json.dumps(own_jwks(own) if retired else own.jwks, indent=1))


@keys_command.command("rewrap")
@click.option(
    "--from",
    "opened_by",
    type=click.Path(path_type=Path),
    help="Settings that open the key file today. [default: its passphrase]",
)
@click.option("--reason", default=REWRAP, show_default=True, help="Why, for the audit.")
@config_option
def rewrap_command(opened_by: Path | None, reason: str, config_path: Path) -> None:
    """Put the key file under what the settings name: a module or a vault, or again the passphrase.

    Signing keys stay where they are: `ein keys rotate` makes the next ones in the store of the settings. What
    runs opens the file by the settings that it began with: start it anew.
    """
    settings = load_settings(config_path)
    keys, clock = settings.state.keys, SystemClock()
    act = KeyAct(verb=KeyVerb.REWRAP, by=_acting(settings), reason=reason)
    before = None if opened_by is None else load_settings(opened_by)
    after = opener(settings, clock)
    opens = PassphraseUnwrapper(keys) if before is None else opener(before, clock)
    with closing(SqliteKeyActs(str(settings.state.policy_db), clock)) as acts:
        acts.begin(act)
        rewrap(keys, opens, after)
        acts.done(act)
    click.echo(f"{keys / OWN_KEYS_FILE}: opened by {after.kind} from now on; start the processes anew")


def _row(one: Listed) -> dict[str, Any]:
    return {
        "kid": one.key.kid, "alg": str(one.key.alg), "state": str(one.state),
        "made_at_ms": one.key.made_at_ms, "use_from_ms": one.key.use_from_ms,
        "superseded_at_ms": one.superseded_at_ms, "store": one.key.store,
        "holds": [
            {"wait": str(hold.wait), "count": hold.count, "until_ms": hold.until_ms} for hold in one.holds
        ],
    }  # fmt: skip


def _told(one: Listed) -> str:
    held = ", ".join(map(hold_text, one.holds)) or "due to be retired"
    if one.superseded_at_ms and one.state == "superseded":
        return f"since {at_text(one.superseded_at_ms)}Z; {held}"
    return held


@contextmanager
def _desk(config_path: Path) -> Iterator[tuple[KeyDesk, Settings]]:
    settings, clock = load_settings(config_path), SystemClock()
    desk = KeyDesk.of(settings, key_files(settings, clock), clock)
    try:
        yield desk, settings
    finally:
        desk.close()


def _acting(settings: Settings) -> str:
    return acting(settings.state, settings.issuer_url, SystemClock(), SystemEntropy())
