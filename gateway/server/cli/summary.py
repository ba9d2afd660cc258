"""What a simulated run comes to: the account, the estimates against the truth, one JSON object."""

import json
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from gateway.measurement.report import Report, build_report, parse_truth
from gateway.outcomes.conservation import AccountResult
from gateway.server.account import build_account
from gateway.server.bootstrap.measure import open_lake
from gateway.server.cli.report import wait_until_caught_up
from gateway.server.cli.simulation import RunResult, Simulation
from gateway.server.cli.verify import render_account
from gateway.server.measure.report_table import print_report

CAUGHT_UP_TIMEOUT_S = 60.0
"""Longest wait for the lake; it follows the journals at some ten thousand records a second."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The account, and the JSON object that ends the run."""

    account: AccountResult
    document: dict[str, Any]


def read_report(simulation: Simulation) -> tuple[Report, int]:
    """The report once the lake holds all, and how many records it still lacks. Needs measure running."""
    truth = parse_truth(json.loads(simulation.truth_file.read_text()))
    opened = open_lake(simulation.settings.state)
    try:
        behind = wait_until_caught_up(opened, CAUGHT_UP_TIMEOUT_S)
        return build_report(opened.lake, truth), behind
    finally:
        opened.close()


def summarize(simulation: Simulation, result: RunResult, report: Report, *, records_behind: int) -> Summary:
    """Adds up from lists, journals and logs; the processes have stopped."""
    account = build_account(
        simulation.settings.state,
        sender_lists=[simulation.sender_list],
        receiver_logs=simulation.receiver_logs,
    )
    columns, counters = account.columns, result.counters
    by_transport = account.by_transport
    document: dict[str, Any] = {
        "payments": counters.payments,
        "answered": counters.payments_answered,
        "shares": columns["released"],
        "withheld": dict(account.withheld),
        "undetermined": columns["undetermined"],
        # What went into messages left with the payment service: no process of ours sent it.
        "delivered": columns["sent"] + by_transport["message"]["verified"],
        "verified": columns["verified"],
        "duplicates": columns["duplicates"],
        "withdrawn": columns["withdrawn"],
        "lost": columns["lost"],
        "outcomes": counters.outcomes_reported,
        "estimates": [_estimate(estimate) for estimate in report.estimates],
        "attempts": counters.attempts,
        "attempts_answered": counters.attempts_answered,
        "labels": counters.labels_reported
        + sum(status["labels_reported"] for status in result.issuers.values()),
        "receipts_watched": sum(counters.watched_receipts.values()),
        "labels_watched": counters.watched_labels,
        "stand_in": counters.stand_in,
        "degraded": dict(counters.degraded),
        "records_behind": records_behind,
        "drained": result.drained,
        "adds_up": account.adds_up,
        "cpu_s": {name: round(spent_s, 2) for name, spent_s in result.cpu_s.items()},
        "duration_s": round(result.duration_s, 2),
        "payments_per_s": round(counters.payments / max(result.duration_s, 1e-9), 1),
    }
    return Summary(account, document)


def _estimate(estimate: Any) -> dict[str, Any]:
    uplift = estimate.first
    interval = uplift.absolute
    return {
        "program": estimate.program,
        "issuer": estimate.issuer_id,
        "treatment_n": uplift.treatment.n,
        "holdout_n": uplift.holdout.n,
        "uplift": uplift.difference if interval is None else interval.value,
        "lower": None if interval is None else interval.lower,
        "upper": None if interval is None else interval.upper,
        "truth": estimate.truth,
        "fixed_half_width": uplift.fixed_half_width,
    }


def memory_document(result: RunResult) -> list[dict[str, Any]]:
    """Resident memory of each process at each quarter, in bytes."""
    return [{"quarter": reading.quarter, "rss_bytes": dict(reading.rss_bytes)} for reading in result.memory]


def print_summary(
    console: Console, summary: Summary, report: Report, result: RunResult, *, memory: bool
) -> None:
    """Tables for people."""
    document = summary.document
    print_report(report, console)
    console.print("Conservation account, from the sender's list, the journals and the receivers' logs:")
    console.print(render_account(summary.account), highlight=False)
    if memory:
        console.print(_memory_table(result))
    console.print(
        f"{document['payments']:,} payments ({document['attempts']:,} attempts) in "
        f"{document['duration_s']:.1f} s: {document['payments_per_s']:,.0f} a second"
    )


def _memory_table(result: RunResult) -> Table:
    table = Table(title="Resident memory at each quarter of the payments, MiB")
    table.add_column("process")
    for reading in result.memory:
        table.add_column(f"{reading.quarter}/4", justify="right")
    for process in result.memory[0].rss_bytes if result.memory else ():
        table.add_row(process, *(f"{reading.rss_bytes[process] / 2**20:.0f}" for reading in result.memory))
    return table
