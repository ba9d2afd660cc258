"""`ein dev-ca`: certificates for development and trials."""

from pathlib import Path

import click

from gateway.runtime.clock import SystemClock
from gateway.runtime.entropy import SystemEntropy
from gateway.server.dev_ca import DevCa, Issued

_folder = click.argument("folder", type=click.Path(file_okay=False, path_type=Path))


@click.group("dev-ca")
def dev_ca_command() -> None:
    """Make certificates for development. Never for production: the authority's key lies beside them."""


@dev_ca_command.command("server")
@_folder
@click.option(
    "--name", "names", multiple=True, default=("localhost", "127.0.0.1"), show_default=True,
    help="Host or address that our ports are reached by; repeatable.",
)  # fmt: skip
def server_command(folder: Path, names: tuple[str, ...]) -> None:
    """Make the certificate of our own ports in FOLDER, and the authority where there is none."""
    ca = _ca(folder)
    issued = ca.server(names)
    click.echo(
        f"tls:\n  certificate: {issued.certificate}\n  key: {issued.key}\n  client_ca: {ca.certificate}"
    )


@dev_ca_command.command("client")
@_folder
@click.argument("name")
@click.option("--uri", required=True, help="What the certificate says who it is, for `ein client add --uri`.")
def client_command(folder: Path, name: str, uri: str) -> None:
    """Make the certificate of a machine that calls: FOLDER/NAME.pem and NAME.key."""
    issued: Issued = _ca(folder).client(name, uri)
    click.echo(f"{issued.certificate} {issued.key}")


def _ca(folder: Path) -> DevCa:
    return DevCa(folder, SystemClock(), SystemEntropy())
