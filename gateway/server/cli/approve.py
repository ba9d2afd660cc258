"""`ein revive`, `ein approvals`, `ein approve`, `ein refuse`: acts that take two people."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path

import click

from gateway.backends.embedded.approvals import SqliteApprovals
from gateway.backends.embedded.policy import SqlitePolicyStore
from gateway.programs.approvals import Approval, Verdict
from gateway.programs.switches import EVERY_ISSUER
from gateway.runtime.clock import Clock, SystemClock
from gateway.runtime.entropy import SystemEntropy
from gateway.server.cli.kill import check_names
from gateway.server.cli.options import config_option, json_option
from gateway.server.cli.telling import at_text
from gateway.server.operators import acting
from gateway.server.own_keys import key_files
from gateway.server.settings import Settings, load_settings
from gateway.server.state import StateDir
from gateway.server.verbs.approvals import OF_KILL, approve, ask_revival, refuse
from gateway.server.verbs.keys import KeyDesk

_reason = click.option("--reason", required=True, help="Why, for the audit; at most 256 characters.")
_number = click.argument("approval_id", type=int)


@click.command("revive")
@click.argument("program")
@click.option("--issuer", "issuer_id", default=EVERY_ISSUER, help="Only this issuer; else all.")
@_reason
@config_option
def revive_command(program: str, issuer_id: str, reason: str, config_path: Path) -> None:
    """Ask to take back a kill of PROGRAM. It is taken back when an approver approves."""
    settings, clock = load_settings(config_path), SystemClock()
    by = _acting(settings, clock)
    with _policy(settings.state, clock) as policy, _store(settings.state, clock) as store:
        check_names(policy, program, issuer_id)
        asked = ask_revival(
            settings.state, policy, store, program=program, issuer_id=issuer_id, by=by, reason=reason
        )
    click.echo(f"{program}: waits for another approver: ein approve {asked.approval_id}")


@click.command("approvals")
@click.option("--all", "everything", is_flag=True, help="Decided and outdated ones too.")
@config_option
@json_option
def approvals_command(everything: bool, config_path: Path, as_json: bool) -> None:
    """List what waits for a second person."""
    clock = SystemClock()
    now_ms = clock.wall_ms()
    with _store(load_settings(config_path).state, clock) as store:
        found = store.all()
    listed = [
        one for one in found if everything or (one.verdict is Verdict.OPEN and now_ms < one.expires_at_ms)
    ]
    if as_json:
        rows = [{**asdict(one), "expires_at_ms": one.expires_at_ms} for one in listed]
        click.echo(json.dumps({"approvals": rows}))
        return
    for one in listed:
        click.echo(
            f"{one.approval_id:>5} {one.kind:<16} {_subject(one):<40} {one.verdict:<8} by {one.requested_by}"
            f" until {at_text(one.expires_at_ms)}Z: {one.reason}"
        )


@click.command("approve")
@_number
@config_option
def approve_command(approval_id: int, config_path: Path) -> None:
    """Approve request APPROVAL_ID of another operator, and carry it out."""
    settings, clock = load_settings(config_path), SystemClock()
    by = _acting(settings, clock)
    with (
        _policy(settings.state, clock) as policy,
        _store(settings.state, clock) as store,
        closing(KeyDesk.of(settings, key_files(settings, clock), clock)) as keys,
    ):
        approval = approve(settings.state, policy, store, clock, approval_id=approval_id, by=by, keys=keys)
    click.echo(f"{approval.kind} {_subject(approval)}: approved and done")


@click.command("refuse")
@_number
@config_option
def refuse_command(approval_id: int, config_path: Path) -> None:
    """Refuse request APPROVAL_ID, or take back your own."""
    settings, clock = load_settings(config_path), SystemClock()
    by = _acting(settings, clock)
    with _store(settings.state, clock) as store:
        approval = refuse(settings.state, store, approval_id=approval_id, by=by)
    click.echo(f"{approval.kind} {_subject(approval)}: refused")


def _acting(settings: Settings, clock: Clock) -> str:
    return acting(settings.state, settings.issuer_url, clock, SystemEntropy())


@contextmanager
def _policy(state: StateDir, clock: Clock) -> Iterator[SqlitePolicyStore]:
    policy = SqlitePolicyStore(str(state.policy_db), clock)
    try:
        yield policy
    finally:
        policy.close()


@contextmanager
def _store(state: StateDir, clock: Clock) -> Iterator[SqliteApprovals]:
    store = SqliteApprovals(str(state.policy_db), clock)
    try:
        yield store
    finally:
        store.close()


def _subject(one: Approval) -> str:
    return " ".join(value for name, value in one.subject.items() if name not in ("key", OF_KILL) and value)
