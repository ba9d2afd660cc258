"""`ein participants`: who takes part in what, fit for a record of processing."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click

from gateway.backends.embedded.consents import SqliteConsents
from gateway.backends.embedded.policy import SqlitePolicyStore
from gateway.feeds.delivery import KEEP_SEALED_MS
from gateway.programs.consent_rows import TwinRegistered
from gateway.programs.participation import Participants, Participation, participants, parties
from gateway.runtime.clock import Clock, SystemClock
from gateway.server.cli.options import config_option, json_option
from gateway.server.policy import policy_in_force
from gateway.server.retention import DAY_MS, KEEP_ROWS_MS
from gateway.server.settings import load_settings
from gateway.server.state import StateDir

PAGE_ROWS = 10_000
"""Of the registry, read at a time: a few megabytes of a million."""


@click.command("participants")
@click.option(
    "--parties", "each_party", is_flag=True, help="Each merchant and platform instead, a JSON object a line."
)
@config_option
@json_option
def participants_command(each_party: bool, config_path: Path, as_json: bool) -> None:
    """List who takes part in what, since when, with which fields, under which contract."""
    clock = SystemClock()
    state = load_settings(config_path).state
    store = SqlitePolicyStore(str(state.policy_db), clock)
    try:
        if each_party:
            policy, registry = policy_in_force(store), _registry(state, clock)
            for row in parties(policy, registry=registry, now_ms=clock.wall_ms()):
                click.echo(json.dumps(asdict(row)))
            return
        found = participants(
            policy_in_force(store),
            store.view(),
            registry=_registry(state, clock),
            now_ms=clock.wall_ms(),
            kept_sealed_days=KEEP_SEALED_MS // DAY_MS,
            kept_pseudonymous_days=KEEP_ROWS_MS // DAY_MS,
        )
    finally:
        store.close()
    click.echo(json.dumps(asdict(found)) if as_json else _as_text(found))


def _registry(state: StateDir, clock: Clock) -> TwinRegistered:
    """All that merchants and platforms said while everything ran."""
    known, place = TwinRegistered(), (0, 0)
    if not state.consents_db.exists():
        return known
    store = SqliteConsents(str(state.consents_db), clock)
    try:
        while page := store.changes(place, PAGE_ROWS):
            place = known.take(page)
        return known
    finally:
        store.close()


def _as_text(found: Participants) -> str:
    lines = [
        f"policy {found.policy_version}; sealed bodies are kept {found.kept_sealed_days} days,"
        f" pseudonymous rows {found.kept_pseudonymous_days}"
    ]
    for one in found.issuers:
        lines += _lines(one)
    for name, counted in (("merchants", found.merchants), ("platforms", found.platforms)):
        said = ", ".join(f"{tier} {count}" for tier, count in sorted(counted.by_tier.items()))
        lines.append(f"{name}: {said or 'none'}")
    return "\n".join(lines)


def _lines(one: Participation) -> list[str]:
    terms = one.terms
    return [
        f"{one.program} at {one.issuer_id}: {one.state}, {_day(one.since_ms)} to {_day(one.until_ms)}",
        f"  recipient {one.recipient_id}, contract {one.contract_id}, as {one.controller_role}",
        f"  purpose {one.purpose}, legal basis {one.legal_basis}",
        *(f"  {row.category}: {', '.join(row.fields)}" for row in one.data),
        f"  cardholders of {', '.join(one.regions)}"
        + (f"; leaves the region of {', '.join(one.transfers)}" if one.transfers else ""),
        f"  transfer basis {terms.transfer_basis or 'not stated'}, impact assessment"
        f" {terms.dpia_reference or 'not stated'}, notice {terms.notice_reference or 'not stated'}",
        f"  the recipient keeps it {terms.retention_days or 'an unstated number of'} days; onward transfer"
        f" {terms.onward_transfer}, training {terms.model_training}, use for other senders"
        f" {terms.cross_sender_use}",
        f"  by {', '.join(one.transports)}",
    ]


def _day(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d")
