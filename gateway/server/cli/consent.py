"""`ein consent`: what merchants and platforms agreed to, in force while everything runs."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TextIO

import click

from gateway.backends.embedded.consents import SqliteConsents
from gateway.backends.embedded.leases import FileLeaseBoard
from gateway.programs.consents import (
    Party,
    Said,
    Setting,
)
from gateway.programs.model import FOREVER_MS
from gateway.programs.switches import KILL_TIMEOUT_MS
from gateway.records.errors import GatewayError
from gateway.runtime.clock import SystemClock
from gateway.runtime.disk import RealDisk
from gateway.runtime.entropy import SystemEntropy
from gateway.server.cli.consent_file import TIERS, Pace, stage, start_ms
from gateway.server.cli.options import config_option, json_option
from gateway.server.cli.telling import at_text, tell_effect
from gateway.server.operators import acting
from gateway.server.settings import Settings, load_settings
from gateway.server.verbs.consents import ConsentDesk, only_stops

NICENESS: Final = 19
"""Of an import: the scheduler gives it what payments leave."""

TAKEN_IN_A_MS: Final = 50
"""Rows that a busy worker takes in at least; 400 where there is nothing else to do."""

_party_id = click.argument("party_id")
_party = click.option(
    "--party", type=click.Choice([str(one) for one in Party]), default=str(Party.MERCHANT), show_default=True
)
_reason = click.option("--reason", required=True, help="Why, for the audit; at most 256 characters.")


@click.group("consent")
def consent_command() -> None:
    """Set, revoke, show and import what merchants and platforms agreed to."""


@consent_command.command("set")
@_party_id
@_party
@click.option("--tier", type=click.Choice(list(TIERS)), required=True)
@click.option("--terms", "terms_version", required=True, help="Version of the terms that were agreed to.")
@click.option("--evidence", required=True, help="Reference to the proof, for example a contract's number.")
@click.option("--from", "valid_from", default="", help="First day, YYYY-MM-DD; now where it is left out.")
@click.option("--until", "valid_until", default="", help="First day on which it holds no more.")
@_reason
@config_option
@json_option
def set_command(
    party_id: str, party: str, tier: str, terms_version: str, evidence: str, valid_from: str,
    valid_until: str, reason: str, config_path: Path, as_json: bool,
) -> None:  # fmt: skip
    """Write down what PARTY_ID said. Returns when every worker acts on it."""
    now_ms = SystemClock().wall_ms()
    setting = Setting(
        Party(party), party_id, TIERS[tier], terms_version, evidence,
        start_ms(valid_from, "from") if valid_from else now_ms,
        start_ms(valid_until, "until") if valid_until else FOREVER_MS,
    )  # fmt: skip
    _put(load_settings(config_path), setting, reason, as_json=as_json)


@consent_command.command("revoke")
@_party_id
@_party
@_reason
@config_option
@json_option
def revoke_command(party_id: str, party: str, reason: str, config_path: Path, as_json: bool) -> None:
    """Take back what PARTY_ID said. Returns when no worker shares under it any more."""
    settings = load_settings(config_path)
    actor = _acting(settings, stops=True)
    with _store(settings) as store:
        effect = _desk(settings, store).revoke(Party(party), party_id, actor=actor, reason=reason)
    tell_effect(f"{party} {party_id}", effect, as_json=as_json)


@consent_command.command("show")
@_party_id
@_party
@config_option
@json_option
def show_command(party_id: str, party: str, config_path: Path, as_json: bool) -> None:
    """Show all that PARTY_ID ever said, with who wrote it down, when and why."""
    with _store(load_settings(config_path)) as store:
        said = list(said_of(store, Party(party), party_id))[::-1]
    rows = [
        {
            "tier": one.setting.tier.name.lower(), "terms_version": one.setting.terms_version,
            "evidence": one.setting.evidence, "valid_from_ms": one.setting.valid_from_ms,
            "valid_until_ms": one.setting.valid_until_ms, "epoch": one.epoch, "actor": one.actor,
            "reason": one.reason, "at_ms": one.at_ms,
        }
        for one in said
    ]  # fmt: skip
    if as_json:
        click.echo(json.dumps({"party": party, "party_id": party_id, "said": rows}))
        return
    for one in said:
        words = f"terms {one.setting.terms_version}, evidence {one.setting.evidence}"
        what = f"epoch {one.epoch}: {one.setting.tier.name.lower()}, {words}"
        click.echo(f"{at_text(one.at_ms)}  {what:<52} {one.actor}: {one.reason}")
    if not rows:
        click.echo(f"{party} {party_id}: the registry knows nothing of it; the policy's documents may")


@consent_command.command("import")
@click.argument("file", type=click.File("r", encoding="utf-8"))
@_reason
@config_option
def import_command(file: TextIO, reason: str, config_path: Path) -> None:
    """Import settings from a CSV FILE, all or none. Its first line names the columns.

    It gives way to payments, and runs at the lowest priority.
    """
    os.nice(NICENESS)
    settings = load_settings(config_path)
    actor = _acting(settings, stops=False)
    with _store(settings) as store:
        import_id = store.start_import(actor=actor, reason=reason)
        try:
            count = stage(
                store, import_id, file, Pace(time.thread_time_ns, time.monotonic_ns, time.sleep).rest
            )
            since_ns = SystemClock().monotonic_ns()
            imported, timeout_ms = store.finish_import(import_id), KILL_TIMEOUT_MS + count // TAKEN_IN_A_MS
        except BaseException:
            try:
                store.abandon_import(import_id)
            except GatewayError as fault:
                # Behind what is raised, which says why nothing was imported.
                click.echo(f"what was staged is left to the next import: {fault.public}", err=True)
            raise
        if imported.parties_kept:
            click.echo(f"{imported.parties_kept} parties said something stricter meanwhile, and it stays")
        effect = _desk(settings, store).in_effect(imported.epoch, since_ns, timeout_ms=timeout_ms)
    tell_effect(f"{count} settings", effect, as_json=False)


def said_of(store: SqliteConsents, party: Party, party_id: str) -> Iterator[Said]:
    """All that a party said, the newest first, read page by page."""
    page = store.said(party, party_id)
    while page:
        yield from page
        page = store.said(party, party_id, before=page[-1].place)


def _put(settings: Settings, setting: Setting, reason: str, *, as_json: bool) -> None:
    actor = _acting(settings, stops=only_stops(setting))
    with _store(settings) as store:
        effect = _desk(settings, store).say([setting], actor=actor, reason=reason)
    tell_effect(f"{setting.party} {setting.party_id}", effect, as_json=as_json)


def _acting(settings: Settings, *, stops: bool) -> str:
    return acting(settings.state, settings.issuer_url, SystemClock(), SystemEntropy(), stops=stops)


def _desk(settings: Settings, store: SqliteConsents) -> ConsentDesk:
    board = FileLeaseBoard(RealDisk(), str(settings.state.leases))
    return ConsentDesk(store, board, SystemClock(), time.sleep)


@contextmanager
def _store(settings: Settings) -> Iterator[SqliteConsents]:
    settings.state.make()
    store = SqliteConsents(str(settings.state.consents_db), SystemClock())
    try:
        yield store
    finally:
        store.close()
