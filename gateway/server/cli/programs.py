"""`ein programs` and `ein apply`: what is in force, and how it changes."""

import json
from collections.abc import Mapping
from pathlib import Path

import click

from gateway.backends.embedded.policy import PolicyMoved, SqlitePolicyStore
from gateway.programs.model import PPM, PolicySnapshot
from gateway.programs.switches import SwitchStoreUnavailable, SwitchView, effective_state
from gateway.programs.table import ProgramEntry, compile_table
from gateway.records.errors import GatewayError
from gateway.runtime.clock import SystemClock
from gateway.runtime.entropy import SystemEntropy
from gateway.server.cli.counted import counted
from gateway.server.cli.options import config_option, json_option
from gateway.server.cli.plan_text import summary_lines, summary_of
from gateway.server.operators import acting
from gateway.server.policy import (
    Applied,
    NoPolicy,
    change_policy,
    files_in_force,
    keys_missing,
    policy_in_force,
    read_policy,
)
from gateway.server.policy_watch import WATCH_INTERVAL_S, FolderWatch
from gateway.server.process import stop_on_signals
from gateway.server.settings import Settings, load_settings


@click.command("apply")
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--reason", required=True, help="Why, for the audit; at most 256 characters.")
@click.option("--watch", is_flag=True, help="Go on, and apply each change of the directory, until SIGTERM.")
@config_option
@json_option
def apply_command(directory: Path, reason: str, watch: bool, config_path: Path, as_json: bool) -> None:
    """Put the policy documents in DIRECTORY in force, as a new numbered snapshot."""
    settings = load_settings(config_path)
    settings.state.make()
    store = SqlitePolicyStore(str(settings.state.policy_db), SystemClock())
    try:
        if watch:
            _watch(settings, store, directory, reason, as_json=as_json)
        else:
            _tell(settings, _apply(settings, store, read_policy(directory), reason), as_json=as_json)
    finally:
        store.close()


def _apply(settings: Settings, store: SqlitePolicyStore, files: Mapping[str, str], reason: str) -> Applied:
    clock = SystemClock()
    actor = acting(settings.state, settings.issuer_url, clock, SystemEntropy())
    return change_policy(store, files, reason=reason, actor=actor, clock=clock)


def _tell(settings: Settings, applied: Applied, *, as_json: bool) -> None:
    tell_applied(applied, as_json=as_json)
    for issue in keys_missing(settings, applied.snapshot, SystemClock()):
        click.echo(f"warning: {issue}", err=True)


def _watch(
    settings: Settings, store: SqlitePolicyStore, directory: Path, reason: str, *, as_json: bool
) -> None:
    """Applies what the directory has now and each change of it. What is refused is said, and left behind."""
    stop, folder = stop_on_signals(), FolderWatch(directory)
    while not stop.wait(WATCH_INTERVAL_S):
        try:
            files = folder.look()
            # What is in force already is no change: another watcher may have been first.
            if files is None or files == files_in_force(store):
                continue
            _tell(settings, _apply(settings, store, files, reason), as_json=as_json)
        except (PolicyMoved, SwitchStoreUnavailable):
            folder.again()
        except GatewayError as refused:
            click.echo(f"ein: {refused.code}: {refused.public}", err=True)


def tell_applied(applied: Applied, *, as_json: bool) -> None:
    """What is in force now, and in one line each what changed and what deserves a look."""
    snapshot, change = applied.snapshot, applied.plan
    counts = {
        "policy_version": snapshot.version,
        "issuers": len(snapshot.issuers),
        "programs": len(snapshot.programs),
        "enrolments": len(snapshot.enrolments),
    }
    if as_json:
        click.echo(json.dumps(counts if change is None else {**counts, "change": summary_of(change)}))
        return
    # Against nothing everything is new: that it is in force says as much.
    if change is not None and change.before_version:
        for line in summary_lines(change):
            click.echo(line)
    click.echo(
        f"policy {snapshot.version} in force: "
        + ", ".join(counted(counts[f"{noun}s"], noun) for noun in ("issuer", "program", "enrolment"))
    )


@click.command("programs")
@config_option
@json_option
def programs_command(config_path: Path, as_json: bool) -> None:
    """List programs and issuers with their effective state, switches included."""
    store = SqlitePolicyStore(str(load_settings(config_path).state.policy_db), SystemClock())
    try:
        view = store.view()
        snapshot = policy_in_force(store)
    except NoPolicy:
        snapshot = None
    finally:
        store.close()
    version, rows = (0, []) if snapshot is None else (snapshot.version, _rows(snapshot, view))
    if as_json:
        click.echo(json.dumps({"policy_version": version, "switch_epoch": view.epoch, "programs": rows}))
        return
    click.echo(f"policy {version}, switches at epoch {view.epoch}")
    for row in rows:
        click.echo(
            "{program:<16} {issuer_id:<22} {state:<8} ramp {ramp:>5} holdout {holdout:>5}".format(
                **row, ramp=_percent(row["ramp_ppm"]), holdout=_percent(row["holdout_ppm"])
            )
        )


def _rows(snapshot: PolicySnapshot, view: SwitchView) -> list[dict[str, str | int]]:
    entries = [
        entry
        for issuer in compile_table(snapshot).issuers.values()
        for entry in issuer.programs + issuer.after
        if entry.enrolment_id
    ]
    return [
        {
            "program": entry.program,
            "issuer_id": entry.issuer_id,
            "state": _state(entry, view),
            "ramp_ppm": entry.ramp_ppm,
            "holdout_ppm": entry.holdout_ppm,
        }
        for entry in sorted(entries, key=lambda one: (one.program, one.issuer_id))
    ]


def _state(entry: ProgramEntry, view: SwitchView) -> str:
    stop = view.stopped(entry.program, entry.issuer_id)
    return effective_state(entry.state, entry.state, stop).name.lower()


def _percent(parts: str | int) -> str:
    return f"{int(parts) * 100 / PPM:g}%"
