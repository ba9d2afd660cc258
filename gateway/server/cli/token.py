"""`ein token`: who may call. What runs follows within a second; nothing has to be restarted."""

import json
from pathlib import Path
from typing import cast, get_args

import click

from gateway.runtime.clock import SystemClock
from gateway.runtime.entropy import SystemEntropy
from gateway.server.cli.options import config_option, json_option
from gateway.server.identity import MachineRole, count_tokens
from gateway.server.operators import acting
from gateway.server.settings import Settings, load_settings
from gateway.server.verbs import identities as verbs
from gateway.server.verbs.identities import Actor

_reason = click.option("--reason", default="", help="Why, for the audit; at most 256 characters.")


class _IssueByDefault(click.Group):
    """`ein token PRINCIPAL_ID --role ROLE` issues: what is asked for most needs no word of its own."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] != "--help":
            args = ["issue", *args]
        return super().parse_args(ctx, args)


@click.group("token", cls=_IssueByDefault)
def token_command() -> None:
    """Issue, list and revoke bearer tokens. `ein token PRINCIPAL_ID --role ROLE` issues one."""


@token_command.command("issue")
@click.argument("principal_id")
@click.option("--role", type=click.Choice(get_args(MachineRole)), required=True)
@_reason
@config_option
def issue_command(principal_id: str, role: str, reason: str, config_path: Path) -> None:
    """Issue a bearer token for PRINCIPAL_ID. It is shown once; only its hash is kept."""
    settings = load_settings(config_path)
    settings.state.make()
    click.echo(
        verbs.issue_token(
            settings.state, SystemClock(), SystemEntropy(),
            principal_id=principal_id, role=cast(MachineRole, role), actor=_actor(settings, reason),
        )
    )  # fmt: skip


@token_command.command("list")
@config_option
@json_option
def list_command(config_path: Path, as_json: bool) -> None:
    """List who has tokens, for which role, and how many. No token and no hash is shown."""
    counts = count_tokens(load_settings(config_path).state)
    rows = [
        {"principal_id": one.principal_id, "role": one.role, "tokens": count} for one, count in counts.items()
    ]
    if as_json:
        click.echo(json.dumps({"principals": rows}))
        return
    for row in rows:
        click.echo("{principal_id:<32} {role:<8} {tokens:>3}".format(**row))


@token_command.command("revoke")
@click.argument("principal_id")
@click.option("--keep-newest", is_flag=True, help="Keep the token issued last: a change without a gap.")
@_reason
@config_option
def revoke_command(principal_id: str, keep_newest: bool, reason: str, config_path: Path) -> None:
    """Revoke the tokens of PRINCIPAL_ID. What runs refuses them within a second."""
    settings = load_settings(config_path)
    actor = _actor(settings, reason, stops=True)
    count = verbs.revoke_tokens(
        settings.state, SystemClock(), principal_id=principal_id, keep_newest=keep_newest, actor=actor
    )
    click.echo(f"{principal_id}: {count} {'token' if count == 1 else 'tokens'} revoked")


def _actor(settings: Settings, reason: str, *, stops: bool = False) -> Actor:
    by = acting(settings.state, settings.issuer_url, SystemClock(), SystemEntropy(), stops=stops)
    return Actor(by, reason)
