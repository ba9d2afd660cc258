"""`ein gateway | feeds | measure | up`: the processes, each in the foreground."""

from pathlib import Path

import click

from gateway.server.cli.options import config_option
from gateway.server.settings import load_settings


@click.command("gateway")
@config_option
def gateway_command(config_path: Path) -> None:
    """Run the gateway: enrichment and outcomes over gRPC."""
    from gateway.server.gateway_process import run

    raise click.exceptions.Exit(run(load_settings(config_path)))


@click.command("feeds")
@config_option
def feeds_command(config_path: Path) -> None:
    """Run the feeds: delivery to issuers, lookup, receipts and labels."""
    from gateway.server.feeds_process import run

    raise click.exceptions.Exit(run(load_settings(config_path)))


@click.command("measure")
@config_option
def measure_command(config_path: Path) -> None:
    """Run the measurement: the lake and its statistics."""
    from gateway.server.measure_process import run

    raise click.exceptions.Exit(run(load_settings(config_path)))


@click.command("up")
@config_option
def up_command(config_path: Path) -> None:
    """Run one of each process on this machine, and restart what dies."""
    from gateway.server.supervisor import run_until_signalled

    raise click.exceptions.Exit(run_until_signalled(load_settings(config_path)))
