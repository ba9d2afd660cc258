"""`ein kill`, `ein pause`, `ein resume`: the switches, written straight into the store.

They need no running process: what runs is told by the store, and answers by its lease.
"""

import json
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import click

from gateway.backends.embedded.delivery import shares_already_left
from gateway.backends.embedded.leases import FileLeaseBoard
from gateway.backends.embedded.policy import SqlitePolicyStore
from gateway.programs import switches
from gateway.programs.issues import PolicyInvalid, near
from gateway.programs.switches import EVERY_ISSUER, Stopped, SwitchRefused, SwitchStore, WriteStop
from gateway.records.errors import GatewayError
from gateway.runtime.clock import SystemClock
from gateway.runtime.disk import RealDisk
from gateway.runtime.entropy import SystemEntropy
from gateway.server import exit_codes
from gateway.server.cli.options import config_option, json_option
from gateway.server.operators import acting
from gateway.server.policy import NoPolicy, policy_in_force
from gateway.server.settings import load_settings
from gateway.server.state import StateDir


def count_shares(state: StateDir, program: str, issuer_id: str) -> dict[str, int] | None:
    """What had left by each transport, counted in the feeds' own store; None where that cannot be had."""
    try:
        left = shares_already_left(state.feeds_db, program, issuer_id or None)
    except (GatewayError, OSError, sqlite3.Error):
        return None  # the stop is in effect: a count that cannot be had takes nothing from it
    return {"message": left.message, "lookup": left.lookup, "ssf": left.ssf}


def check_names(store: SqlitePolicyStore, program: str, issuer_id: str) -> None:
    """Refuses a name that the policy does not know: a stop of nothing would look like a stop.

    Where no policy can be read the stop goes ahead.
    """
    try:
        policy = policy_in_force(store)
    except (NoPolicy, PolicyInvalid):
        return
    for kind, name, known in (("program", program, policy.programs), ("issuer", issuer_id, policy.issuers)):
        if name and name not in known:
            mend = near(name, known) or f"known: {', '.join(sorted(known))}"
            raise SwitchRefused(f"there is no {kind} of this name. {mend}")


def _run(
    writes: Callable[[SwitchStore], WriteStop],
    program: str,
    issuer_id: str,
    reason: str,
    config_path: Path,
    *,
    as_json: bool,
) -> None:
    settings = load_settings(config_path)
    state, clock = settings.state, SystemClock()
    actor = acting(state, settings.issuer_url, clock, SystemEntropy(), stops=True)
    store = SqlitePolicyStore(str(state.policy_db), clock)
    try:
        check_names(store, program, issuer_id)
        board = FileLeaseBoard(RealDisk(), str(state.leases))
        stopped = switches.stop(
            writes(store),
            board,
            clock,
            time.sleep,
            program=program,
            issuer_id=issuer_id,
            actor=actor,
            reason=reason,
        )
    finally:
        store.close()
    left = count_shares(state, program, issuer_id)
    click.echo(_as_json(program, issuer_id, stopped, left) if as_json else _as_text(program, stopped, left))
    if stopped.workers_waiting:
        raise click.exceptions.Exit(exit_codes.CHECK_FAILED)


def _as_json(program: str, issuer_id: str, stopped: Stopped, left: dict[str, int] | None) -> str:
    return json.dumps(
        {
            "program": program,
            "issuer_id": issuer_id or None,
            "switch_epoch": stopped.epoch,
            "effective_after_ms": stopped.effective_after_ms,
            "workers_acknowledged": list(stopped.workers_acknowledged),
            "workers_expired": list(stopped.workers_expired),
            "workers_fenced": list(stopped.workers_fenced),
            "workers_waiting": list(stopped.workers_waiting),
            "shares_already_left": left,
        }
    )


def _as_text(program: str, stopped: Stopped, left: dict[str, int] | None) -> str:
    lines = [
        f"{program}: in effect after {stopped.effective_after_ms} ms (epoch {stopped.epoch})",
        f"  workers: {len(stopped.workers_acknowledged)} acknowledged,"
        f" {len(stopped.workers_expired)} with no lease any more",
        f"  already left: {_left_text(left)}",
    ]
    if stopped.workers_fenced:
        lines.append(f"  ended, since they were stopped: {', '.join(stopped.workers_fenced)}")
    if stopped.workers_waiting:
        lines.append(f"  NOT YET IN EFFECT at: {', '.join(stopped.workers_waiting)}. End these workers.")
    return "\n".join(lines)


def _left_text(left: dict[str, int] | None) -> str:
    if left is None:
        return "not known, the store of the feeds does not answer"
    return ", ".join(f"{count} by {transport}" for transport, count in left.items())


_program = click.argument("program")
_issuer = click.option("--issuer", "issuer_id", default=EVERY_ISSUER, help="Only this issuer; else all.")
_reason = click.option("--reason", required=True, help="Why, for the audit; at most 256 characters.")


@click.command("kill")
@_program
@_issuer
@_reason
@config_option
@json_option
def kill_command(program: str, issuer_id: str, reason: str, config_path: Path, as_json: bool) -> None:
    """Stop PROGRAM at once, queued data included. Returns when nobody shares under it any more."""
    _run(lambda store: store.kill, program, issuer_id, reason, config_path, as_json=as_json)


@click.command("pause")
@_program
@_issuer
@_reason
@config_option
@json_option
def pause_command(program: str, issuer_id: str, reason: str, config_path: Path, as_json: bool) -> None:
    """Pause PROGRAM, queued data included, until it is resumed."""
    _run(lambda store: store.pause, program, issuer_id, reason, config_path, as_json=as_json)


@click.command("resume")
@_program
@_issuer
@_reason
@config_option
@json_option
def resume_command(program: str, issuer_id: str, reason: str, config_path: Path, as_json: bool) -> None:
    """Resume a paused PROGRAM. A killed one stays killed."""
    settings = load_settings(config_path)
    state, clock = settings.state, SystemClock()
    actor = acting(state, settings.issuer_url, clock, SystemEntropy())
    store = SqlitePolicyStore(str(state.policy_db), clock)
    try:
        check_names(store, program, issuer_id)
        epoch = store.resume(program, issuer_id, actor=actor, reason=reason)
    finally:
        store.close()
    told = {"program": program, "issuer_id": issuer_id or None, "switch_epoch": epoch}
    click.echo(json.dumps(told) if as_json else f"{program}: resumed (epoch {epoch})")
