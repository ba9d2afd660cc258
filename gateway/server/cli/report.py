"""`ein report`: what the sharing did."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.server.cli.options import config_option, json_option
from gateway.server.settings import load_settings

if TYPE_CHECKING:
    from gateway.server.bootstrap.measure import OpenLake

WAIT_TIMEOUT_S = 60.0
POLL_S = 0.1


def read_truth(path: Path) -> dict[tuple[str, str], float]:
    """True effects by (program, issuer) from a JSON file. Raises TruthInvalid."""
    from gateway.measurement.report import TruthInvalid, parse_truth

    try:
        return parse_truth(json.loads(path.read_bytes()))
    except ValueError:
        raise TruthInvalid(f"{path.name}: not readable as JSON") from None


def wait_until_caught_up(opened: "OpenLake", timeout_s: float) -> int:
    """Waits until the lake holds what the journals hold; records still missing at the end of the wait."""
    deadline_s = time.monotonic() + timeout_s
    while (missing := sum(opened.behind().values())) and time.monotonic() < deadline_s:
        time.sleep(POLL_S)
    return missing


@click.command("report")
@click.option(
    "--truth",
    "truth_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="True effects that a simulator wrote (JSON), to stand beside the estimates.",
)
@click.option("--wait", is_flag=True, help="Wait until everything in the journals is counted.")
@config_option
@json_option
def report_command(truth_path: Path | None, wait: bool, config_path: Path, as_json: bool) -> None:
    """Show uplift for each program and issuer, how shares were used, what was withheld and why.

    Reads the lake itself: `ein measure` fills it, and need not run now. Exit code 1 when --wait was in vain.
    """
    from rich.console import Console

    from gateway.measurement.report import build_report, report_document
    from gateway.server.bootstrap.measure import open_lake
    from gateway.server.measure.report_table import print_report

    truth = read_truth(truth_path) if truth_path is not None else None
    opened = open_lake(load_settings(config_path).state)
    try:
        missing = wait_until_caught_up(opened, WAIT_TIMEOUT_S if wait else 0.0)
        report = build_report(opened.lake, truth)
    finally:
        opened.close()
    if as_json:
        click.echo(json.dumps({**report_document(report), "records_behind": missing}))
    else:
        print_report(report, Console())
    if missing:
        click.echo(f"{missing:,} journal records are not counted yet; is `ein measure` running?", err=True)
    raise click.exceptions.Exit(1 if wait and missing else 0)
