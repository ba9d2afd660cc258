"""`ein demo`: the main job on one machine, with simulated payments and issuers, and the proof."""

import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from gateway.server.cli.options import json_option


@click.command("demo")
@click.option("--seed", type=int, default=1, show_default=True, help="Same seed, same payments and issuers.")
@click.option("--payments", type=click.IntRange(1), default=20_000, show_default=True, help="How many.")
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep state, lists and logs in this folder (it must not hold a state yet).",
)
@click.option(
    "--policy", type=click.Path(file_okay=False, path_type=Path), help="Other policy than the sample."
)
@click.option("--fault", "faults", multiple=True, help="ISSUER:KIND, KIND unmatched, late, refusing or slow.")
@json_option
def demo_command(
    seed: int,
    payments: int,
    keep: Path | None,
    policy: Path | None,
    faults: tuple[str, ...],
    as_json: bool,
) -> None:
    """Enrich, share, seal, deliver, hear back, and prove it, with simulated payments and issuers.

    Exit code 1 when the conservation account does not add up.
    """
    from simulator.members import Fault
    from simulator.payments import PaymentStream, TraceNumbers

    try:
        switched_on = [Fault.parse(text) for text in faults]
    except ValueError as refused:
        raise click.BadParameter(str(refused), param_hint="--fault") from None
    traces = TraceNumbers()
    stream = PaymentStream(seed, payments, traces)
    summary = run_simulation(
        stream,
        payments,
        traces,
        seed=seed,
        keep=keep,
        policy=policy,
        faults=switched_on,
        as_json=as_json,
        title="demo",
    )
    raise click.exceptions.Exit(0 if summary["adds_up"] else 1)


def run_simulation(
    stream: Any,
    total: int,
    traces: Any,
    *,
    seed: int,
    keep: Path | None,
    policy: Path | None,
    as_json: bool,
    title: str,
    faults: Sequence[Any] = (),
) -> dict[str, Any]:
    """Runs the payments through a fresh installation, prints tables and account, returns the summary."""
    from rich.console import Console

    from gateway.server.cli.simulation import SAMPLE_POLICY, Simulation, SimulationFailed

    with ExitStack() as stack:
        if keep is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ein-")))
        else:
            folder = keep.resolve()
            folder.mkdir(parents=True, exist_ok=True)
            if (folder / "ein.yaml").exists():
                raise SimulationFailed(f"{folder}: holds an installation already; name another folder")
        console = Console(stderr=as_json)
        simulation = Simulation(folder, seed=seed, policy=policy or SAMPLE_POLICY, faults=faults)
        console.print(
            f"ein {title}: {total:,} payments, seed {seed}: starting gateway, feeds, measure, 5 issuers"
        )
        with simulation:
            with ProgressBar(total) as bar:
                result = simulation.run(stream, total, traces, bar.update)
            if not result.drained:
                console.print(
                    "the issuers did not hear of everything in time; the account says what is missing"
                )
            from gateway.server.cli.summary import read_report

            report, behind = read_report(simulation)
        from gateway.server.cli.summary import memory_document, print_summary, summarize

        summary = summarize(simulation, result, report, records_behind=behind)
        if title == "replay":
            summary.document["memory"] = memory_document(result)
        print_summary(console, summary, report, result, memory=title == "replay")
    if as_json:
        click.echo(json.dumps(summary.document))
    return {**summary.document, "adds_up": summary.account.adds_up}


class ProgressBar:
    """Live progress on stderr; silent where stderr is no terminal."""

    def __init__(self, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not sys.stderr.isatty(),
        )
        self._task = self._progress.add_task("payments", total=total, note="")

    def __enter__(self) -> "ProgressBar":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def update(self, counters: Any) -> None:
        """Shows where the run stands."""
        approved = counters.approved / counters.payments if counters.payments else 0.0
        note = (
            f"{approved:.1%} approved, {sum(counters.shared.values()):,} shared, "
            f"{sum(counters.watched_receipts.values()):,} receipts"
        )
        self._progress.update(self._task, completed=counters.payments, note=note)
