"""`ein subject`: what cardholders may ask for. Card numbers come on standard input, never as arguments."""

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from enrichment.masked import Pan
from gateway.ledger.access import Access
from gateway.programs.subjects import CaseEvent, CaseKind, CaseState, SubjectRefused
from gateway.runtime.clock import SystemClock
from gateway.runtime.entropy import SystemEntropy
from gateway.server import exit_codes
from gateway.server.cli.options import config_option, json_option
from gateway.server.cli.telling import tell_effect
from gateway.server.operators import acting
from gateway.server.own_keys import key_files
from gateway.server.settings import Settings, load_settings
from gateway.server.verbs.subjects import CardNamed, Opened, SubjectDesk

LINE_CHARACTERS_MAX: Final = 256
"""Of a card's name on standard input; what is longer is none."""

F = TypeVar("F", bound=Callable[..., Any])

_reason = click.option("--reason", required=True, help="Why, for the audit; at most 256 characters.")


def card_options(command: F) -> F:
    """How a card is named: its number and its references are read, its token is an argument."""
    for option in (
        click.option("--sender", default="", help="Payment service whose reference it is."),
        click.option("--card-ref-stdin", is_flag=True, help="Read a payment service's own reference."),
        click.option("--par-stdin", is_flag=True, help="Read the Payment Account Reference."),
        click.option("--pan-stdin", is_flag=True, help="Read the card number, or a network token."),
        click.option("--card-token", default="", help="The pseudonym that an issuer has of the card."),
    ):
        command = option(command)
    return command


@click.group("subject")
def subject_command() -> None:
    """Answer cardholders: what was shared about a card, stop it, take it back."""


@subject_command.command("show")
@card_options
@config_option
@json_option
def show_command(
    card_token: str, pan_stdin: bool, par_stdin: bool, card_ref_stdin: bool, sender: str, config_path: Path,
    as_json: bool,
) -> None:  # fmt: skip
    """Show what was shared about a card: with whom, when, which fields, under which consent."""
    settings = load_settings(config_path)
    acting(settings.state, settings.issuer_url, SystemClock(), SystemEntropy(), reads=True)
    card = _card(card_token, pan_stdin, par_stdin, card_ref_stdin, sender)
    found, steps = _desk(settings).show(card)
    click.echo(json.dumps(shown(found, steps)) if as_json else shown_text(found, steps))


@subject_command.command("object")
@card_options
@_reason
@config_option
@json_option
def object_command(
    card_token: str, pan_stdin: bool, par_stdin: bool, card_ref_stdin: bool, sender: str, reason: str,
    config_path: Path, as_json: bool,
) -> None:  # fmt: skip
    """Take an objection: nothing more is shared about the card. Returns when every worker acts on it."""
    settings = load_settings(config_path)
    actor = acting(settings.state, settings.issuer_url, SystemClock(), SystemEntropy(), stops=True)
    card = _card(card_token, pan_stdin, par_stdin, card_ref_stdin, sender)
    desk = _desk(settings)
    _tell(desk.open([CaseKind.OBJECTION], card, actor=actor, reason=reason), as_json=as_json)


@subject_command.command("decide")
@click.argument("case_id", type=int)
@click.argument("state", type=click.Choice([str(CaseState.UPHELD), str(CaseState.REFUSED)]))
@_reason
@config_option
@json_option
def decide_command(case_id: int, state: str, reason: str, config_path: Path, as_json: bool) -> None:
    """Uphold or refuse an objection. Where it is refused, the card may be shared again."""
    settings = load_settings(config_path)
    actor = _acting(settings)
    desk = _desk(settings)
    _tell(desk.decide(case_id, CaseState(state), actor=actor, reason=reason), as_json=as_json)


@subject_command.command("erase")
@card_options
@_reason
@config_option
@json_option
def erase_command(
    card_token: str, pan_stdin: bool, par_stdin: bool, card_ref_stdin: bool, sender: str, reason: str,
    config_path: Path, as_json: bool,
) -> None:  # fmt: skip
    """Stop sharing about a card, and take back what was shared. Cannot be undone.

    Opens an objection and an erasure. What waits is withdrawn when the command returns; then every recipient
    is told to erase what it has, and what is kept here about the card is forgotten.
    """
    settings = load_settings(config_path)
    actor = _acting(settings)
    card = _card(card_token, pan_stdin, par_stdin, card_ref_stdin, sender)
    desk = _desk(settings)
    both = [CaseKind.OBJECTION, CaseKind.ERASURE]
    _tell(desk.open(both, card, actor=actor, reason=reason), as_json=as_json)


@subject_command.command("told")
@click.argument("case_id", type=int)
@click.argument("recipient_id")
@click.option("--evidence", required=True, help="Reference to the proof, for example a letter's number.")
@click.option("--reason", default="told by hand", show_default=True, help="Why, for the audit.")
@config_option
@json_option
def told_command(
    case_id: int, recipient_id: str, evidence: str, reason: str, config_path: Path, as_json: bool
) -> None:
    """Write down that RECIPIENT_ID was told by hand to erase what it got of CASE_ID.

    For a recipient that polls no stream, or does not take the order: the erasure waits for it no longer, and
    its certificate says who told it, when and by what evidence.
    """
    settings = load_settings(config_path)
    actor = _acting(settings)
    desk = _desk(settings)
    _tell(desk.told(case_id, recipient_id, evidence=evidence, actor=actor, reason=reason), as_json=as_json)


@subject_command.command("certificate")
@click.argument("case_id", type=int)
@config_option
def certificate_command(case_id: int, config_path: Path) -> None:
    """Print how far an erasure has come, signed, as one JSON object. Exit code 1 until it is certified."""
    settings = load_settings(config_path)
    acting(settings.state, settings.issuer_url, SystemClock(), SystemEntropy(), reads=True)
    desk = _desk(settings)
    found, signed = desk.certificate(case_id, iss=settings.issuer_url)
    click.echo(json.dumps({**found, "jws": signed}))
    done = exit_codes.DONE if found["certified_at_ms"] else exit_codes.CHECK_FAILED
    raise click.exceptions.Exit(done)


def _desk(settings: Settings) -> SubjectDesk:
    clock = SystemClock()
    return SubjectDesk(settings.state, clock, own_keys=key_files(settings, clock).load)


def _acting(settings: Settings) -> str:
    return acting(settings.state, settings.issuer_url, SystemClock(), SystemEntropy())


def _card(card_token: str, pan_stdin: bool, par_stdin: bool, card_ref_stdin: bool, sender: str) -> CardNamed:
    if bool(card_token) + pan_stdin + par_stdin + card_ref_stdin != 1:
        raise SubjectRefused(
            "card: give exactly one of --card-token, --pan-stdin, --par-stdin, --card-ref-stdin"
        )
    if card_token:
        return CardNamed(card_token=card_token)
    name = sys.stdin.readline(LINE_CHARACTERS_MAX).strip()
    if pan_stdin:
        # As it is printed on cards and letters.
        return CardNamed(pan=Pan(name.replace(" ", "").replace("-", "")))
    return CardNamed(par=name) if par_stdin else CardNamed(card_ref=name, sender_id=sender)


def shown(found: Access, steps: list[CaseEvent]) -> dict[str, Any]:
    """The answer for machines."""
    return {
        "shares": [one.as_json() for one in found.disclosures],
        "cases": [
            {
                "case_id": one.case_id, "kind": one.kind, "state": one.state, "at_ms": one.at_ms,
                "actor": one.actor, "reason": one.reason,
            }
            for one in steps
        ],
    }  # fmt: skip


def shown_text(found: Access, steps: list[CaseEvent]) -> str:
    """The answer for people."""
    lines = []
    for one in found.disclosures:
        told = one.as_json()
        lines.append(
            f"{_time(told['decided_at_ms'])} {told['program']} to {told['recipient_id']} for"
            f" {told['issuer_id']}, under {told['consent_id'] or 'no consent on record'}"
        )
        lines.append(f"  share {one.share_id}: {', '.join(told['fields'])}")
        left = [f"{way.transport} at {_time(way.at_ms)}" for way in one.left]
        states = [f"{way.transport} {way.state}" for way in one.deliveries]
        lines.append(
            f"  left by {', '.join(left) or 'nothing yet'}; now {', '.join(states) or 'no delivery'}"
        )
    if not lines:
        lines.append("nothing was shared about this card")
    lines += [
        f"{one.kind} {one.case_id} {one.state} {_time(one.at_ms)} by {one.actor}: {one.reason}"
        for one in steps
    ]
    return "\n".join(lines)


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _tell(opened: Opened, *, as_json: bool) -> None:
    cases = ", ".join(str(case_id) for case_id in opened.case_ids)
    tell_effect(f"case {cases}", opened.effect, as_json=as_json, case_ids=opened.case_ids, names=opened.names)
