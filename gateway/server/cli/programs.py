"""`ein programs` and `ein apply`: what is in force, and how it changes."""

import json
from pathlib import Path

import click

from gateway.backends.embedded.policy import SqlitePolicyStore
from gateway.programs.model import PPM, PolicySnapshot, State
from gateway.programs.switches import SwitchView
from gateway.programs.table import ProgramEntry, compile_table
from gateway.records.reasons import Reason
from gateway.runtime.clock import SystemClock
from gateway.runtime.entropy import SystemEntropy
from gateway.server.cli.options import config_option, json_option
from gateway.server.cli.plan_text import summary_lines, summary_of
from gateway.server.operators import acting
from gateway.server.policy import Applied, NoPolicy, change_policy, keys_missing, policy_in_force, read_policy
from gateway.server.settings import load_settings


@click.command("apply")
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--reason", required=True, help="Why, for the audit; at most 256 characters.")
@config_option
@json_option
def apply_command(directory: Path, reason: str, config_path: Path, as_json: bool) -> None:
    """Put the policy documents in DIRECTORY in force, as a new numbered snapshot."""
    settings = load_settings(config_path)
    state, clock = settings.state, SystemClock()
    state.make()
    actor = acting(state, settings.issuer_url, clock, SystemEntropy())
    files = read_policy(directory)
    store = SqlitePolicyStore(str(state.policy_db), clock)
    try:
        applied = change_policy(store, files, reason=reason, actor=actor, clock=clock)
    finally:
        store.close()
    tell_applied(applied, as_json=as_json)
    for issue in keys_missing(state.keys, applied.snapshot, clock):
        click.echo(f"warning: {issue}", err=True)


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
        + ", ".join(f"{counts[name]} {name}" for name in ("issuers", "programs", "enrolments"))
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
    """The strictest of program, enrolment and switch."""
    stopped = view.stopped(entry.program, entry.issuer_id)
    if stopped is Reason.KILLED:
        return "killed"
    state = entry.state if stopped is None else max(entry.state, State.PAUSED)
    return state.name.lower()


def _percent(parts: str | int) -> str:
    return f"{int(parts) * 100 / PPM:g}%"
