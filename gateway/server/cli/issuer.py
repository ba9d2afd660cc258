"""`ein issuer`: invites issuers to enrol by themselves, shows how far they are, takes keys back."""

import json
from pathlib import Path
from typing import Any

import click

from gateway.programs.enrolling import INVITE_DAYS_DEFAULT, INVITE_DAYS_MAX, Submission
from gateway.runtime.clock import SystemClock
from gateway.runtime.entropy import SystemEntropy
from gateway.server.cli.options import config_option, json_option
from gateway.server.cli.telling import at_text
from gateway.server.enrolment.desk import revoke_keys
from gateway.server.operators import acting
from gateway.server.settings import Settings, load_settings
from gateway.server.verbs import issuers as verbs

_reason = click.option("--reason", required=True, help="Why, for the audit; at most 256 characters.")


@click.group("issuer")
def issuer_command() -> None:
    """Invite issuers to enrol with keys of their own, and take their keys back."""


@issuer_command.command("invite")
@click.argument("recipient_id")
@click.option(
    "--days", type=click.IntRange(1, INVITE_DAYS_MAX), default=INVITE_DAYS_DEFAULT, show_default=True
)
@_reason
@config_option
def invite_command(recipient_id: str, days: int, reason: str, config_path: Path) -> None:
    """Make a token for `ein-issuer enrol`, good once. It is shown once; only its hash is kept."""
    settings = load_settings(config_path)
    settings.state.make()
    by = _acting(settings)
    token, _ = verbs.invite(
        settings.state, SystemClock(), SystemEntropy(), recipient_id, days=days, by=by, reason=reason
    )
    click.echo(token)


@issuer_command.command("withdraw")
@click.argument("recipient_id")
@_reason
@config_option
def withdraw_command(recipient_id: str, reason: str, config_path: Path) -> None:
    """Withdraw the invitations of RECIPIENT_ID that wait."""
    settings = load_settings(config_path)
    by = _acting(settings, stops=True)
    count = verbs.withdraw(settings.state, SystemClock(), recipient_id, by=by, reason=reason)
    click.echo(f"{recipient_id}: {count} {'invitation' if count == 1 else 'invitations'} withdrawn")


@issuer_command.command("revoke")
@click.argument("recipient_id")
@_reason
@config_option
def revoke_command(recipient_id: str, reason: str, config_path: Path) -> None:
    """Take the keys of RECIPIENT_ID back: within a second nothing is sealed to it any more."""
    settings = load_settings(config_path)
    by = _acting(settings, stops=True)
    gone = revoke_keys(settings.state, SystemClock(), recipient_id, by=by, reason=reason)
    click.echo(f"{recipient_id}: revoked {', '.join(gone.thumbprints)}")


@issuer_command.command("list")
@config_option
@json_option
def list_command(config_path: Path, as_json: bool) -> None:
    """List the newest submission of each recipient, with the thumbprints of its keys."""
    rows = [_row(one) for one in verbs.newest(load_settings(config_path).state, SystemClock())]
    if as_json:
        click.echo(json.dumps({"issuers": rows}))
        return
    for row in rows:
        prints = " ".join(row["thumbprints"])
        click.echo(f"{row['recipient_id']:<32} {row['stage']:<10} {at_text(row['at_ms'])}Z {prints}")


def _row(one: Submission) -> dict[str, Any]:
    return {
        "recipient_id": one.recipient_id, "submission_id": one.submission_id, "stage": str(one.stage),
        "thumbprints": list(one.thumbprints), "at_ms": one.at_ms,
    }  # fmt: skip


def _acting(settings: Settings, *, stops: bool = False) -> str:
    return acting(settings.state, settings.issuer_url, SystemClock(), SystemEntropy(), stops=stops)
