"""`ein programs` and `ein apply`: what is in force, and how it changes."""

import json
from pathlib import Path

import click

from gateway.backends.embedded.policy import SqlitePolicyStore
from gateway.programs.documents import load_policy
from gateway.programs.issues import PolicyInvalid, PolicyIssue
from gateway.programs.model import PPM, PolicySnapshot, State
from gateway.programs.switches import SwitchView
from gateway.programs.table import ProgramEntry, compile_table
from gateway.records.reasons import Reason
from gateway.runtime.clock import Clock, SystemClock
from gateway.server.cli.kill import actor_name
from gateway.server.cli.options import config_option, json_option
from gateway.server.settings import load_settings

MAX_FILES = 10_000
"""Documents of one policy: 2,000 issuers with a few enrolments each."""


def read_policy_directory(directory: Path) -> dict[str, str]:
    """Relative name to text of each YAML file. Raises PolicyInvalid where one cannot be read."""
    files: dict[str, str] = {}
    for path in sorted([*directory.rglob("*.yaml"), *directory.rglob("*.yml")]):
        name = path.relative_to(directory).as_posix()
        if len(files) == MAX_FILES:
            raise PolicyInvalid([PolicyIssue(name, "", "too many files", f"Keep to {MAX_FILES}")])
        try:
            files[name] = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            raise PolicyInvalid([PolicyIssue(name, "", "not readable", "Make it UTF-8 text")]) from None
    return files


def apply_directory(
    policy_db: Path, directory: Path, *, reason: str, actor: str, clock: Clock
) -> PolicySnapshot:
    """Checks the documents of a directory and puts them in force as the next snapshot.

    Raises PolicyInvalid; what was in force then stays.
    """
    files = read_policy_directory(directory)
    snapshot = load_policy(files)
    compile_table(snapshot)
    store = SqlitePolicyStore(str(policy_db), clock)
    try:
        version = store.apply(files, actor=actor, reason=reason)
    finally:
        store.close()
    return load_policy(files, version=version)


@click.command("apply")
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--reason", required=True, help="Why, for the audit; at most 256 characters.")
@config_option
@json_option
def apply_command(directory: Path, reason: str, config_path: Path, as_json: bool) -> None:
    """Put the policy documents in DIRECTORY in force, as a new numbered snapshot."""
    state = load_settings(config_path).state
    state.make()
    snapshot = apply_directory(
        state.policy_db, directory, reason=reason, actor=actor_name(), clock=SystemClock()
    )
    counts = {
        "policy_version": snapshot.version,
        "issuers": len(snapshot.issuers),
        "programs": len(snapshot.programs),
        "enrolments": len(snapshot.enrolments),
    }
    if as_json:
        click.echo(json.dumps(counts))
        return
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
        version, view = store.version(), store.view()
        snapshot = load_policy(store.snapshot(version).files, version=version) if version else None
    finally:
        store.close()
    rows = [] if snapshot is None else _rows(snapshot, view)
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
