"""`ein operator`: the people who act, each with a key of their own."""

import json
from pathlib import Path
from typing import get_args

import click

from gateway.backends.embedded.approvals import SqliteApprovals
from gateway.programs.approvals import Kind
from gateway.runtime.clock import SystemClock
from gateway.runtime.entropy import SystemEntropy
from gateway.sealing.operator_token import LIFE_S_MAX, make_token, operator_public_jwk
from gateway.server.cli.options import config_option, json_option
from gateway.server.operators import (
    OperatorRefused,
    OperatorRole,
    acting,
    changing_operators,
    make_key,
    read_key,
    read_operators,
    write_operators,
)
from gateway.server.settings import Settings, load_settings
from gateway.server.verbs.approvals import changed_operators

_reason = click.option("--reason", required=True, help="Why, for the audit; at most 256 characters.")
_file = click.Path(dir_okay=False, path_type=Path)


@click.group("operator")
def operator_command() -> None:
    """Make keys of operators, register their public halves, and make short-lived tokens."""


@operator_command.command("key")
@click.argument("file", type=_file)
def key_command(file: Path) -> None:
    """Make a private key in FILE, and print its public half for `ein operator add`."""
    click.echo(json.dumps(make_key(file, SystemEntropy())))


@operator_command.command("add")
@click.argument("principal_id")
@click.option("--role", type=click.Choice(get_args(OperatorRole)), required=True)
@click.option("--key", "key_file", type=_file, required=True, help="The public half, as `key` printed it.")
@_reason
@config_option
def add_command(principal_id: str, role: str, key_file: Path, reason: str, config_path: Path) -> None:
    """Register PRINCIPAL_ID. With another approver registered, the act waits for `ein approve`."""
    settings = load_settings(config_path)
    settings.state.make()
    public = _public(key_file)
    subject = {"principal_id": principal_id, "role": role, "key": json.dumps(public, sort_keys=True)}
    _change(settings, Kind.ADD_OPERATOR, subject, reason)


@operator_command.command("remove")
@click.argument("principal_id")
@_reason
@config_option
def remove_command(principal_id: str, reason: str, config_path: Path) -> None:
    """Remove PRINCIPAL_ID. With another approver registered, the act waits for `ein approve`."""
    _change(load_settings(config_path), Kind.REMOVE_OPERATOR, {"principal_id": principal_id}, reason)


@operator_command.command("list")
@config_option
@json_option
def list_command(config_path: Path, as_json: bool) -> None:
    """List operators with their roles and the thumbprints of their keys."""
    rows = [
        {"principal_id": one.principal_id, "role": one.role, "thumbprint": one.thumbprint}
        for one in read_operators(load_settings(config_path).state.operators)
    ]
    if as_json:
        click.echo(json.dumps({"operators": rows}))
        return
    for row in rows:
        click.echo("{principal_id:<32} {role:<8} {thumbprint}".format(**row))


@operator_command.command("token")
@click.option("--key", "key_file", type=_file, required=True, help="Your private key file.")
@click.option("--life-s", type=click.IntRange(1, LIFE_S_MAX), default=LIFE_S_MAX, show_default=True)
@config_option
def token_command(key_file: Path, life_s: int, config_path: Path) -> None:
    """Make a bearer token for calls over gRPC, with your key. It does one act, and reads while it lives."""
    settings, now_ms = load_settings(config_path), SystemClock().wall_ms()
    jti = SystemEntropy().bytes(16).hex()
    signer = read_key(key_file)
    click.echo(make_token(signer, audience=settings.issuer_url, jti=jti, now_ms=now_ms, life_s=life_s))


def _public(key_file: Path) -> dict[str, str]:
    try:
        return operator_public_jwk(json.loads(key_file.read_bytes()))
    except (OSError, ValueError, RecursionError):
        raise OperatorRefused("key: the file holds no public JWK; `ein operator key` prints one") from None


def _change(settings: Settings, kind: Kind, subject: dict[str, str], reason: str) -> None:
    state, clock = settings.state, SystemClock()
    by = acting(state, settings.issuer_url, clock, SystemEntropy())
    store = SqliteApprovals(str(state.policy_db), clock)
    try:
        with changing_operators(state.operators):
            known = read_operators(state.operators)
            # What cannot be done is refused now, and not to the one who approves.
            changed = changed_operators(known, kind, subject, by=by, now_ms=clock.wall_ms())
            asks = any(one.role == "approver" and one.principal_id != by for one in known)
            if asks:
                asked = store.request(kind, subject, by=by, reason=reason)
                done = f"waits for another approver: ein approve {asked.approval_id}"
            else:
                store.alone(kind, subject, by=by, reason=reason)
                write_operators(state.operators, changed)
                done = "registered" if kind is Kind.ADD_OPERATOR else "removed"
    finally:
        store.close()
    click.echo(f"{subject['principal_id']}: {done}")
