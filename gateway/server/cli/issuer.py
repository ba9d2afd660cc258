"""`ein issuer`: invites issuers to enrol by themselves, shows how far they are, takes keys back."""

import json
from pathlib import Path
from typing import Any

import click

from gateway.backends.embedded.enrolments import SqliteEnrolments
from gateway.programs.enrolling import INVITE_DAYS_DEFAULT, INVITE_DAYS_MAX, Submission
from gateway.runtime.clock import SystemClock
from gateway.runtime.entropy import SystemEntropy
from gateway.server.cli.options import config_option, json_option
from gateway.server.cli.telling import at_text
from gateway.server.enrolment.desk import check_recipient_id, revoke_keys, with_store
from gateway.server.operators import acting, read_operators
from gateway.server.secret_words import make_secret
from gateway.server.settings import Settings, load_settings
from gateway.server.verbs.approvals import check_registered

_reason = click.option("--reason", required=True, help="Why, for the audit; at most 256 characters.")
DAY_MS = 24 * 60 * 60 * 1000


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
    settings, entropy = load_settings(config_path), SystemEntropy()
    settings.state.make()
    by = _acting(settings)
    # Somebody else has to approve: who invites has to be a person by a key.
    check_registered(read_operators(settings.state.operators), by)
    token, digest = make_secret(entropy)

    def invite(store: SqliteEnrolments) -> None:
        store.invite(check_recipient_id(recipient_id), digest, by=by, reason=reason, life_ms=days * DAY_MS)

    with_store(settings.state, SystemClock(), invite)
    click.echo(token)


@issuer_command.command("withdraw")
@click.argument("recipient_id")
@_reason
@config_option
def withdraw_command(recipient_id: str, reason: str, config_path: Path) -> None:
    """Withdraw the invitations of RECIPIENT_ID that wait."""
    settings = load_settings(config_path)
    by = _acting(settings, stops=True)
    count = with_store(
        settings.state, SystemClock(), lambda store: store.withdraw(recipient_id, by=by, reason=reason)
    )
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
    found = with_store(load_settings(config_path).state, SystemClock(), lambda store: store.newest())
    rows = [_row(one) for _, one in sorted(found.items())]
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
