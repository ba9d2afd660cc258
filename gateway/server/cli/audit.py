"""`ein audit`: was the ledger touched, and proof that a share stands in it."""

import json
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.backends.embedded.ledger import SqliteLedgerReader
from gateway.backends.embedded.ledger_acts import StoredActs
from gateway.ledger.entry import PREFIX
from gateway.ledger.heads import HEAD_TYPE, HeadInvalid, parse_claims, parse_line
from gateway.ledger.merkle import Tree, leaf_hash, verify_inclusion
from gateway.ledger.verify import CheckSignature, Report, verify_ledger
from gateway.records.errors import GatewayError
from gateway.runtime.clock import SystemClock
from gateway.sealing import base64url
from gateway.server import exit_codes
from gateway.server.cli.options import config_option, json_option
from gateway.server.settings import Settings, load_settings
from gateway.server.state import StateDir

if TYPE_CHECKING:
    from gateway.backends.embedded.keyfiles import OwnKeys

jwks_option = click.option(
    "--jwks",
    "jwks_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Our JWK Set as published, or with retired keys; without it, our own key files.",
)


class NotProven(GatewayError):
    """There is nothing to prove, or not yet."""

    code = "ledger_not_proven"


def signature_check(jwks: Mapping[str, Any]) -> CheckSignature:
    """Checks heads with a JWK Set of ours, in which retired keys say when they were, and after which head.

    Members `retired_at_ms`, `retired_after_head`: what was there by then is good, whatever the clock said.
    """
    from issuernetwork._jose import RefusedToken, json_object, verify_jws, verify_keys

    # One at a time: retired keys are kept for good, and a receiver takes no set of so many.
    keys = {kid: key for one in jwks["keys"] for kid, key in verify_keys({"keys": [one]}).items()}
    ended = {
        one["kid"]: (one["retired_at_ms"], one.get("retired_after_head", 0))
        for one in jwks["keys"]
        if "retired_at_ms" in one
    }

    def check(jws: bytes, after_ms: int = 0) -> Mapping[str, Any]:
        try:
            header, payload = verify_jws(jws, keys)
            if header.get("typ") != HEAD_TYPE:
                raise HeadInvalid("a token of another type stands for a head")
            claims = json_object(payload)
            ended_ms, last_head = ended.get(str(header["kid"]), (inf, 0))
            if int(claims["number"]) > last_head and max(int(claims["at_ms"]), after_ms) > ended_ms:
                raise HeadInvalid("a head is signed by a key that was retired before")
            return claims
        except (RefusedToken, ValueError, KeyError, TypeError):
            raise HeadInvalid("the signature of a head does not hold") from None

    return check


def own_jwks(own: "OwnKeys") -> dict[str, Any]:
    """All our public keys, with when they were retired: what a head of any time is verified by."""
    # RFC 7517 4: members that are not understood are ignored.
    gone = [
        {**one.public, "retired_at_ms": one.retired_at_ms, "retired_after_head": one.after_head}
        for one in own.ring.retired
    ]
    return {"keys": [*own.jwks["keys"], *gone]}


def _check(settings: Settings, jwks_path: Path | None) -> CheckSignature:
    if jwks_path is not None:
        try:
            return signature_check(json.loads(jwks_path.read_text()))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise HeadInvalid("the JWK Set is none: fetch it again") from None
    from gateway.server.own_keys import key_files

    return signature_check(own_jwks(key_files(settings, SystemClock()).load()))


def read_lines(path: Path) -> list[bytes]:
    """Whole lines of a file of heads."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    # What stands behind the last end of a line is being written, or was when a process died.
    return data.split(b"\n")[:-1]


def verify_state(state: StateDir, check: CheckSignature, *, anchors: list[bytes] | None = None) -> Report:
    """Verifies what stands in a state directory, beside a running `ein feeds` or without one."""
    # The file, the store, the file again: a head of the first look is in the store, or that was set back.
    before = read_lines(state.ledger_heads)
    with closing(SqliteLedgerReader(state.ledger_db)) as reader:
        kept = reader.kept_head()
        lines = read_lines(state.ledger_heads)[: max(len(before), 0 if kept is None else kept.number)]
        # A copy of the ledger alone has no stores beside it.
        if not (state.policy_db.exists() and state.consents_db.exists()):
            return verify_ledger(reader, lines, check, anchors=anchors or [])
        with closing(StoredActs(state.policy_db, state.consents_db)) as acts:
            return verify_ledger(reader, lines, check, anchors=anchors or [], acts=acts)


def render_report(report: Report) -> str:
    """The report as lines of text."""
    lines = [
        f"  {chain:<24}{count:>12,} {'entry' if count == 1 else 'entries'}"
        for chain, count in report.entries.items()
    ]
    newest = ""
    if report.last_head_at_ms:
        at = datetime.fromtimestamp(report.last_head_at_ms // 1000, UTC)
        newest = f", the newest of {at:%Y-%m-%dT%H:%M:%SZ}"
    lines.append(f"  {'signed heads':<24}{report.heads:>12,}{newest}")
    if report.acts_compared:
        lines.append(f"  {'compared with their rows':<24}{report.acts_compared:>12,} acts")
    if report.unsigned_entries:
        lines.append(f"  {'not signed yet':<24}{report.unsigned_entries:>12,} entries")
    for one in report.findings:
        numbers = f"{one.first}" if one.first == one.last else f"{one.first} to {one.last}"
        lines.append(f"  {one.kind.upper()} {one.place} {numbers}: {one.detail}")
    lines.append("the ledger is intact" if report.intact else "THE LEDGER WAS TAMPERED WITH")
    return "\n".join(lines)


@click.group("audit")
def audit_command() -> None:
    """Show that the ledger of what left was not touched."""


@audit_command.command("verify")
@click.option(
    "--anchor",
    "anchor_paths",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Heads that were kept elsewhere, lines of heads.jsonl; repeat for more.",
)
@jwks_option
@config_option
@json_option
def verify_command(
    anchor_paths: tuple[Path, ...], jwks_path: Path | None, config_path: Path, as_json: bool
) -> None:
    """Compare all entries with their chains and signed heads. Exit code 1 when anything was done to them."""
    settings = load_settings(config_path)
    state = settings.state
    anchors = [line for path in anchor_paths for line in path.read_bytes().splitlines() if line]
    report = verify_state(state, _check(settings, jwks_path), anchors=anchors)
    click.echo(json.dumps(report.as_json()) if as_json else render_report(report))
    raise click.exceptions.Exit(exit_codes.DONE if report.intact else exit_codes.CHECK_FAILED)


@audit_command.command("prove")
@click.argument("share_id")
@config_option
def prove_command(share_id: str, config_path: Path) -> None:
    """Print each entry of SHARE_ID with its proof: from the entry to a signed head, as one JSON object."""
    state = load_settings(config_path).state
    click.echo(json.dumps(proof_of(state, share_id)))


def proof_of(state: StateDir, share_id: str) -> dict[str, Any]:
    """Entries of a share with their proofs, each checked before it is handed out. Raises NotProven."""
    with closing(SqliteLedgerReader(state.ledger_db)) as reader:
        kept = reader.kept_head()
        places = reader.find(share_id)
        if not places:
            raise NotProven("the ledger has no entry of this share: it did not leave, or not yet")
        if kept is None:
            raise NotProven("nothing is signed yet: ask again in ten seconds")
        return {"share_id": share_id, "entries": [_proof(reader, kept.line, *place) for place in places]}


def _proof(reader: SqliteLedgerReader, line: bytes, chain: str, seq: int) -> dict[str, Any]:
    head = parse_claims(parse_line(line)[0])
    at = next((number for number, one in enumerate(head.chains) if one.chain == chain), None)
    if at is None or head.chains[at].size <= seq:
        raise NotProven("the entry is not signed yet: ask again in ten seconds")
    signed = head.chains[at]
    hashes = reader.hashes(chain, signed.size)
    data = reader.entry(chain, seq)
    if len(hashes) != signed.size:
        raise NotProven("entries that were signed are not there: see `ein audit verify`")
    path = Tree(hashes).inclusion(seq)
    verify_inclusion(leaf_hash(data), seq, signed.size, path, signed.root)
    leaves = [one.leaf() for one in head.chains]
    head_path = Tree(leaves).inclusion(at)
    verify_inclusion(leaves[at], at, len(leaves), head_path, head.root)
    return {
        "chain": chain,
        "seq": seq,
        "entry": json.loads(data[PREFIX.size :]),
        "data": base64url.encode(data).decode("ascii"),
        "path": [one.hex() for one in path],
        "chain_head": signed.as_json(),
        "chain_index": at,
        "chains": len(leaves),
        "head_path": [one.hex() for one in head_path],
        "head": json.loads(line),
    }
