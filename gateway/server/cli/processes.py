"""`ein gateway | feeds | measure | up`: the processes, each in the foreground."""

import errno
import traceback
from collections.abc import Callable
from pathlib import Path

import click

from gateway.records.errors import GatewayError
from gateway.server import exit_codes
from gateway.server.cli.options import config_option
from gateway.server.settings import Settings, load_settings


def _run(run: Callable[[Settings], int], config_path: Path) -> None:
    """Runs a process and ends with its exit code; whatever keeps it from running has one, and a text."""
    settings = load_settings(config_path)
    try:
        code = run(settings)
    except GatewayError as refused:
        click.echo(f"ein: {refused.code}: {refused.public}", err=True)
        code = exit_codes.of(refused)
    except (OSError, RuntimeError) as fault:
        click.echo(f"ein: fault: {_public(fault)}", err=True)
        code = exit_codes.FAULT
    raise click.exceptions.Exit(code)


def _public(fault: OSError | RuntimeError) -> str:
    """Names the fault and where it came up. Its own text stays inside: it may quote a value."""
    number = fault.errno if isinstance(fault, OSError) else None
    # gRPC says by a RuntimeError that it cannot bind.
    if number in (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES) or "bind" in str(fault).lower():
        return "an address to listen on cannot be had: free it, or name another one in the settings"
    frame = traceback.extract_tb(fault.__traceback__)[-1]
    name = errno.errorcode.get(number or 0, type(fault).__name__)
    return f"{name} at {Path(frame.filename).name}:{frame.lineno}"


@click.command("gateway")
@config_option
def gateway_command(config_path: Path) -> None:
    """Run the gateway: enrichment and outcomes over gRPC."""
    from gateway.server.gateway.process import run

    _run(run, config_path)


@click.command("feeds")
@config_option
def feeds_command(config_path: Path) -> None:
    """Run the feeds: delivery to issuers, lookup, receipts and labels."""
    from gateway.server.feeds.process import run

    _run(run, config_path)


@click.command("measure")
@config_option
def measure_command(config_path: Path) -> None:
    """Run the measurement: the lake and its statistics."""
    from gateway.server.measure.process import run

    _run(run, config_path)


@click.command("up")
@config_option
def up_command(config_path: Path) -> None:
    """Run one of each process on this machine, and restart what dies."""
    from gateway.server.supervisor import run_until_signalled

    _run(run_until_signalled, config_path)
