"""The report as tables for a terminal."""

from collections import Counter

from rich import box
from rich.console import Console
from rich.table import Table

from gateway.measurement.report import Estimate, Report, ShareUse
from gateway.measurement.uplift import Uplift
from gateway.programs.model import PPM

PLAIN_COLUMNS = 150
"""Width where there is no terminal: the widest rows of the sample policy fit."""


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}%"


def _points(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:+.2f} pp"


def _interval(uplift: Uplift) -> str:
    if uplift.absolute is None:
        return uplift.no_interval_reason
    return f"{100 * uplift.absolute.lower:+.2f} to {100 * uplift.absolute.upper:+.2f}"


def _arm(cards: int, payments: int, rate: float | None) -> str:
    return f"{cards:,}/{payments:,}/{_percent(rate)}"


def uplift_table(report: Report) -> Table:
    """Treatment less holdout for each program and issuer: first attempts, then final state."""
    with_truth = any(estimate.truth is not None for estimate in report.estimates)
    table = Table(
        title="Uplift of the authorization rate, treatment less holdout (95%, valid at every look)",
        box=box.SIMPLE_HEAD,
    )
    for heading in ("program", "issuer", "rate"):
        table.add_column(heading)
    for heading in ("treatment\ncards/payments/rate", "holdout\ncards/payments/rate", "uplift"):
        table.add_column(heading, justify="right")
    table.add_column("interval, pp")
    if with_truth:
        table.add_column("truth", justify="right")
    steps = Counter((estimate.program, estimate.issuer_id) for estimate in report.estimates)
    for estimate in report.estimates:
        several = steps[estimate.program, estimate.issuer_id] > 1
        _add_estimate(table, estimate, with_truth=with_truth, several=several)
    return table


def _add_estimate(table: Table, estimate: Estimate, *, with_truth: bool, several: bool) -> None:
    """Two rows; `several`: the issuer has other steps of the same program, so that this one is named."""
    step = f"at ramp {estimate.ramp_ppm * 100 / PPM:g}%" if several else ""
    for name, uplift in (("first", estimate.first), ("final", estimate.final)):
        first = uplift is estimate.first
        arms = [
            _arm(sums.cards, sums.n, sums.rate if sums.n else None)
            for sums in (uplift.treatment, uplift.holdout)
        ]
        cells = [
            estimate.program if first else "",
            estimate.issuer_id if first else step,
            name,
            *arms,
            _points(uplift.difference),
            _interval(uplift),
        ]
        # The truth that a simulator knows is about first attempts.
        table.add_row(*cells, *([_points(estimate.truth) if first else ""] if with_truth else []))


def use_table(report: Report) -> Table:
    """What was shared, what recipients made of it, and what was withheld and why."""
    table = Table(title="Shares, receipts, and what was withheld", box=box.SIMPLE_HEAD)
    for heading in ("program", "issuer"):
        table.add_column(heading)
    for heading in ("shares", "matched", "used", "late"):
        table.add_column(heading, justify="right")
    table.add_column("withheld by reason")
    use = {(row.program, row.issuer_id): row for row in report.use}
    reasons: dict[tuple[str, str], list[str]] = {}
    for row in report.withheld:
        reasons.setdefault((row.program, row.issuer_id), []).append(f"{row.reason} {row.decisions:,}")
    for program, issuer_id in sorted({*use, *reasons}):
        found = use.get((program, issuer_id), ShareUse(program, issuer_id, 0, 0, 0, 0, 0))
        table.add_row(
            program or "-",
            issuer_id or "-",
            f"{found.shares:,}",
            _percent(found.matched / found.shares) if found.shares else "-",
            _percent(found.used / found.shares) if found.shares else "-",
            f"{found.late:,}",
            ", ".join(reasons.get((program, issuer_id), [])) or "-",
        )
    return table


def print_report(report: Report, console: Console) -> None:
    """Prints both tables, and what no rate counts."""
    if not console.is_terminal:
        console = Console(file=console.file, width=PLAIN_COLUMNS)
    console.print(uplift_table(report))
    console.print(use_table(report))
    unheard = sum(row.treatment.unheard + row.holdout.unheard for row in report.estimates)
    if unheard:
        console.print(f"{unheard:,} compared first attempts have no outcome yet: no rate counts them.")
