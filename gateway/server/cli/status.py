"""`ein status`: who runs, on which policy and switches, and how far the journals are."""

import json
import os
from pathlib import Path
from typing import Any

import click

from gateway.backends.embedded.consents import SqliteConsents
from gateway.backends.embedded.journal import FileJournalReader
from gateway.backends.embedded.leases import FileLeaseBoard
from gateway.backends.embedded.policy import SqlitePolicyStore
from gateway.backends.embedded.subjects import SqliteSubjects
from gateway.programs.switches import MAX_EPOCH
from gateway.records.journal import FEEDS_TOPICS, GATEWAY_TOPICS
from gateway.runtime.clock import MS, SystemClock
from gateway.runtime.disk import RealDisk
from gateway.server.cli.options import config_option, json_option
from gateway.server.gateway.models import read_score
from gateway.server.own_keys import read_told
from gateway.server.policy_follower import read_board
from gateway.server.recipient_watch import read_watch
from gateway.server.retention import figures_text, retention_figures
from gateway.server.settings import load_settings
from gateway.server.state import StateDir
from gateway.server.supervisor import PROCESSES


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*") if path.is_file())


def collect_status(state: StateDir) -> dict[str, Any]:
    """What stands in the state directory, read beside the running processes without any lock."""
    clock = SystemClock()
    disk = RealDisk()
    processes = {}
    for name in PROCESSES:
        ready = state.read_ready(name)
        processes[name] = {"ready": ready is not None and _alive(ready["pid"]), **(ready or {})}
    journals = {}
    for root, topics in ((state.gateway_journal, GATEWAY_TOPICS), (state.feeds_journal, FEEDS_TOPICS)):
        reader = FileJournalReader(disk, str(root))
        for topic in topics:
            journals[topic] = {"last_position": reader.end(topic), "bytes": _folder_bytes(root / topic)}
    now_ns = clock.monotonic_ns()
    workers = {}
    for lease in FileLeaseBoard(disk, str(state.leases)).read_all():
        left_ms = max(0, (lease.expires_ns - now_ns) // MS)
        workers[lease.worker_id] = {"switch_epoch": lease.epoch, "lease_left_ms": left_ms}
        if lease.consent_epoch != MAX_EPOCH:
            workers[lease.worker_id]["consent_epoch"] = lease.consent_epoch
    policy = {
        name: said
        for name in PROCESSES
        if (said := read_board(state, name)) is not None and _alive(said["pid"])
    }
    status: dict[str, Any] = {
        "processes": processes, "journals": journals, "workers": workers, "policy": policy
    }  # fmt: skip
    watched = read_watch(state)
    if watched is not None and _alive(watched["pid"]):
        status["recipient_keys"] = {
            "all": {"checked": watched["checked"], "alerts": len(watched["alerts"])}, **watched["alerts"]
        }  # fmt: skip
    own = {
        name: said
        for name in PROCESSES
        if (said := read_told(state, name)) is not None and _alive(said["pid"])
    }
    if own:
        status["own_keys"] = own
    score = read_score(state)
    if score is not None and _alive(score.pop("pid")):
        status["score"] = score
    if state.policy_db.exists():
        store = SqlitePolicyStore(str(state.policy_db), clock)
        try:
            status["policy_version"] = store.version()
            status["switch_epoch"] = store.epoch()
            status["stopped"] = [
                {"program": switch.program, "issuer_id": switch.issuer_id, "state": switch.state}
                for switch in store.switches()
            ]
        finally:
            store.close()
    if state.consents_db.exists():
        consents, cases = (
            SqliteConsents(str(state.consents_db), clock),
            SqliteSubjects(str(state.consents_db), clock),
        )
        try:
            status["consent_epoch"] = consents.epoch()
            status["open_cases"] = cases.open_counts()
        finally:
            consents.close()
            cases.close()
    status["retention"] = retention_figures(state, disk)
    return status


def _text(value: Any) -> str:
    """A part of the status for people."""
    if isinstance(value, dict):
        return ", ".join(
            ("ready" if said else "NOT READY") if name == "ready" else f"{name} {_text(said)}"
            for name, said in value.items()
            if said != ""
        )
    if isinstance(value, list):
        return "; ".join(_text(one) for one in value) or "none"
    return str(value)


@click.command("status")
@config_option
@json_option
def status_command(config_path: Path, as_json: bool) -> None:
    """Show processes, policy, switches, leases and journals.

    Exit code 1 when a process is not ready, or cannot take the policy in force or the key file.
    """
    status = collect_status(load_settings(config_path).state)
    if as_json:
        click.echo(json.dumps(status))
    else:
        for section, rows in status.items():
            if not isinstance(rows, dict):
                click.echo(f"{section}: {_text(rows)}")
                continue
            click.echo(section)
            for name, row in rows.items():
                said = figures_text(row) if section == "retention" else _text(row)
                click.echo(f"  {name:<16} {said}")
    ready = all(process["ready"] for process in status["processes"].values())
    boards = (*status["policy"].values(), *status.get("own_keys", {}).values())
    followed = all("code" not in said for said in boards)
    raise click.exceptions.Exit(0 if ready and followed else 1)
