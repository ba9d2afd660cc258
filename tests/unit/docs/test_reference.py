"""The reference pages say all of what the code has, and nothing that it has not."""

import inspect
import json
import re
from collections.abc import Iterable
from typing import Any, get_args

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc.errors import JoseError
from prometheus_client import CollectorRegistry
from pydantic import BaseModel

from enrichment import formats
from enrichment.quality import MEND
from gateway.feeds.delivery import Reply
from gateway.feeds.records import EXPIRED_REASON, REFUSED_REASON, RESTORED_REASON, told_reason
from gateway.programs import plan_warnings, schema
from gateway.programs.model import State
from gateway.programs.transitions import TRANSITIONS
from gateway.records.reasons import PUBLIC, Reason
from gateway.runtime.clock import SimClock
from gateway.runtime.entropy import SystemEntropy
from gateway.sealing import jwk
from gateway.sealing.body import sealed_body
from gateway.sealing.jwe import Sealer
from gateway.sealing.keys import KeyWrap, SignatureAlgorithm, SigningKey, StaticRecipientKeys
from gateway.sealing.set import share_set
from gateway.sealing.signer import LocalSigner
from gateway.server import exit_codes, grpc_common, settings
from gateway.server.feeds import ssf_http
from gateway.server.feeds.metrics import FeedsMetrics
from gateway.server.gateway.metrics import GatewayMetrics
from gateway.server.measure.process import _Metrics as MeasureMetrics
from gateway.sharing.gateway import _DEGRADED_TEXT
from issuernetwork._jose import decode_base64url
from issuernetwork.issuer_cli import new_key, new_signing_key
from issuernetwork.receipts import signed_receipts
from issuernetwork.tokens import sign_key
from issuernetwork.v1 import common_pb2, feed_pb2
from tests.kit.jwks import public_jwks
from tests.unit.docs.generate import commands, examples, help_of
from tests.unit.docs.pages import DOCS, REFERENCE, block, example, first_names, rows, section
from tests.unit.server.test_operator_calls import MAY


def page(name: str) -> str:
    return (REFERENCE / f"{name}.md").read_text()


def leaves(model: type[BaseModel], prefix: str = "") -> set[str]:
    """Dotted names of all settings; what stands for the file itself is none."""
    found = set()
    for name, field in model.model_fields.items():
        # What may be left out whole is a model or None; what there are kinds of, several models.
        models = [one for one in (field.annotation, *get_args(field.annotation)) if isinstance(one, type)]
        inner = [one for one in models if issubclass(one, BaseModel)]
        for one in inner:
            found |= leaves(one, f"{prefix}{name}.")
        if inner:
            continue
        if not field.exclude:
            found.add(prefix + name)
    return found


def test_every_reason_of_a_tombstone_has_a_row_and_every_row_a_reason() -> None:
    documented = first_names(section(page("feed"), "Withdrawn"))
    lapses = {Reason.MERCHANT_OPTED_OUT, Reason.MERCHANT_CONSENT_MISSING, Reason.SUBJECT_OBJECTED}
    ends = {Reason.NOT_ENROLLED, Reason.OUTSIDE_VALIDITY, Reason.ATTESTATION_EXPIRED, Reason.KEY_UNAVAILABLE}
    stops = {told_reason(reason) for reason in {Reason.KILLED, Reason.PROGRAM_NOT_ACTIVE, *lapses, *ends}}
    assert documented - {"reason"} == stops | {REFUSED_REASON, EXPIRED_REASON, RESTORED_REASON}


def test_every_setting_has_a_row_and_every_row_a_setting() -> None:
    documented = first_names(page("settings").split("## Environment")[0])
    assert documented == leaves(settings.Settings)


def exposed(registry: CollectorRegistry) -> set[str]:
    """Names as rows write them: counters end in _total, labels are left out."""
    return {
        family.name + ("_total" if family.type == "counter" else "")
        for family in registry.collect()
        if not family.name.endswith("_created")
    }


@pytest.mark.parametrize(
    ("process", "metrics"),
    [("gateway", GatewayMetrics), ("feeds", FeedsMetrics), ("measure", MeasureMetrics)],
)
def test_every_metric_has_a_row_and_every_row_a_metric(process: str, metrics: Any) -> None:
    documented = {
        name.partition("{")[0] for name in first_names(section(page("metrics"), f"`ein {process}`"))
    }
    assert documented == exposed(metrics().registry)


def test_every_reason_has_a_row_that_says_what_callers_see() -> None:
    told = {
        row[0].strip("`"): row[1].strip("`") for row in rows(section(page("errors"), "Reasons to withhold"))
    }
    for reason in Reason:
        public = common_pb2.PublicReason.Name(PUBLIC[reason])
        assert told[reason.name.lower()] == public.removeprefix("PUBLIC_REASON_").lower()
    assert set(told) - {"reason"} == {reason.name.lower() for reason in Reason}


def test_every_degraded_reason_and_field_issue_has_a_row() -> None:
    degraded = first_names(section(page("errors"), "Answers that are not whole"))
    assert degraded == {*_DEGRADED_TEXT.values(), "internal", "velocity", "score"}
    codes = {
        value
        for name, value in vars(formats).items()
        if name[0] != "_" and name.isupper() and isinstance(value, str)
    }
    assert first_names(section(page("errors"), "Field issues")) - {"unknown"} == codes | MEND.keys()


def test_every_status_code_that_errors_map_to_has_a_row() -> None:
    documented = first_names(section(page("errors"), "Status codes"))
    mapped = {code.name for code in grpc_common.STATUS_OF_CODE.values()}
    assert mapped - {"NOT_FOUND"} <= documented  # reserved: no method of today answers it


def test_every_exit_code_has_a_row_where_commands_and_where_operations_are_described() -> None:
    codes = {str(value) for value in vars(exit_codes).values() if type(value) is int}
    for text in (page("cli").split("exit code of `ein-issuer`")[0], (DOCS / "operating.md").read_text()):
        assert {row[0] for row in rows(text) if row[0].isdigit()} == codes


def members(model: type[BaseModel]) -> Iterable[str]:
    """Names of a document, those of nested ones included."""
    for name, field in model.model_fields.items():
        yield name
        for inner in (field.annotation, *get_args(field.annotation)):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                yield from members(inner)


@pytest.mark.parametrize(
    ("title", "model"),
    [
        ("`issuers/<issuer_id>.yaml`", schema.IssuerDocument),
        ("`recipients/<recipient_id>.yaml`", schema.RecipientDocument),
        ("`programs/<program>.yaml`", schema.ProgramDocument),
        ("`enrolments/<enrolment_id>.yaml`", schema.EnrolmentDocument),
        ("`regions.yaml`", schema.RegionsDocument),
        ("`merchants.yaml`", schema.MerchantsDocument),
        ("`experiment.yaml`", schema.ExperimentDocument),
    ],
)
def test_every_member_of_a_policy_document_has_a_row(title: str, model: type[BaseModel]) -> None:
    documented = {name.rpartition(".")[2] for name in first_names(section(page("policy"), title))}
    assert documented == set(members(model))


@pytest.mark.parametrize("command", commands())
def test_every_command_stands_with_its_help_as_printed(command: str) -> None:
    found = re.search(rf"^## `{command}`\n```text\n(.*?)\n```$", page("cli"), re.M | re.S)
    assert found, f"no entry for {command}: run python -m tests.unit.docs.generate"
    # argparse wraps its usage differently from one Python to the next.
    assert found[1].split() == help_of(command).split()


def test_no_command_is_documented_that_does_not_exist() -> None:
    assert re.findall(r"^## `(ein.*?)`$", page("cli"), re.M) == commands()


@pytest.mark.parametrize("name", ["share", "sealed-body", "withdrawn", "erasure"])
def test_an_example_of_the_feed_is_what_the_code_writes(name: str) -> None:
    assert example(name) == examples()[name], "run python -m tests.unit.docs.generate"


def test_the_poll_examples_are_taken_and_written_so() -> None:
    request = block(page("feed"), "poll-request")
    polled, immediately = ssf_http._parse("stream-bank", request.encode())
    assert (polled.max_events, polled.acknowledged, polled.set_errors) == (
        100,
        ("JTI",),
        {"JTI2": "invalid_key"},
    )
    assert immediately is False
    empty = ssf_http._body(Reply((), False))
    assert set(example("poll-reply")) == set(json.loads(empty))


def test_the_example_of_signed_receipts_is_what_the_sdk_signs() -> None:
    told = example("signed-receipts")
    one = told["receipts"][0]
    receipt = feed_pb2.Receipt(
        receipt_id=one["receipt_id"], share_id=one["share_id"], match=feed_pb2.MATCH_RESULT_UNIQUE,
        use=feed_pb2.RECEIPT_USE_USED, received_at_ms=one["received_at_ms"],
        decided_at_ms=one["decided_at_ms"], approved=True,
    )  # fmt: skip
    token = signed_receipts(
        [receipt], key=sign_key(new_signing_key("k")[0]), recipient_id=told["iss"], iss=told["aud"],
        now_s=lambda: float(told["iat"]),
    )  # fmt: skip
    signed = json.loads(decode_base64url(token.split(".")[1].encode()))
    assert {**signed, "jti": told["jti"]} == told


@pytest.mark.parametrize(
    ("title", "message"), [("Receipts", feed_pb2.Receipt), ("Labels", feed_pb2.LabelEvent)]
)
def test_every_field_of_a_report_has_a_row(title: str, message: Any) -> None:
    assert first_names(section(page("feed"), title)) == set(message.DESCRIPTOR.fields_by_name)


def open_share(token: str, jwks: Any, private_jwk: Any) -> Any:
    names: dict[str, Any] = {}
    exec(compile(block(page("feed"), "open-share"), "feed.md", "exec"), names)
    return names["open_share"](
        token, jwks, private_jwk, iss="https://network.example", recipient_id="northgate-bank"
    )


def test_the_code_of_the_feed_page_opens_a_share_and_refuses_a_swapped_body() -> None:
    private, public = new_key("bank-1")
    key = SigningKey("sig-1", SignatureAlgorithm.ES256, ec.generate_private_key(ec.SECP256R1()))
    recipients = jwk.recipient_keys("northgate-bank", json.dumps({"keys": [public]}))
    sealer = Sealer(SystemEntropy(), SimClock(), StaticRecipientKeys(recipients))
    names: dict[str, Any] = {
        "issuer_id": "northgate-bank",
        "recipient_id": "northgate-bank",
        "program": "risk-score",
    }
    body = sealed_body(
        **names,
        share_id="share-1",
        purpose=1,
        card_token="",
        token_epoch=0,
        match={},
        fields={"score_norm": 7},
    )
    sealed = sealer.seal("northgate-bank", body)[1]

    def token(share_id: str) -> str:
        return share_set(
            LocalSigner(key), **names, iss="https://network.example", issued_at_ms=0, jti="j",
            evaluation_id="e", share_id=share_id, sealed=sealed, stream_seq=1,
        ).decode()  # fmt: skip

    jwks = public_jwks((key,))
    assert open_share(token("share-1"), jwks, private)["fields"] == {"score_norm": 7}
    with pytest.raises(ValueError, match="another share"):
        open_share(token("share-2"), jwks, private)
    with pytest.raises(JoseError):
        open_share(token("share-1")[:-8] + "AAAAAAAA", jwks, private)


def test_the_table_of_states_is_the_one_that_is_held() -> None:
    documented = {
        State[row[0].strip("`").upper()]: {
            State[one.upper()] for one in re.findall(r"`(\w+)`", row[1].split(";")[0])
        }
        for row in rows(section(page("policy"), "States"))
        if row[0].startswith("`")
    }
    assert documented == TRANSITIONS


def test_every_warning_of_a_plan_has_a_row() -> None:
    source = inspect.getsource(plan_warnings)
    codes = set(re.findall(r'Warned\(\s*"(\w+)"', source))
    assert first_names(section((DOCS / "operating.md").read_text(), "Changing policy")) == codes


def test_every_method_of_the_operators_has_a_row_that_says_who_may() -> None:
    told = {row[0].strip("`"): set(row[1].split(", ")) for row in rows(page("operators").split("## ")[0])}
    assert {name: who for name, who in told.items() if name != "method"} == MAY


def test_every_algorithm_of_the_feed_has_a_row() -> None:
    algorithms = {str(alg) for alg in (*SignatureAlgorithm, *KeyWrap)}
    assert first_names(section(page("feed"), "Algorithms")) == algorithms
