"""The one table of fields, and what must follow it: page, schema, contract, readers, policies, providers."""

import re
from typing import Any

import pytest

from enrichment import formats, quality
from enrichment.families import authentication, card, identity, merchant, network, velocity
from enrichment.fields import (
    AUTHORIZATION,
    DERIVED,
    FIELD_BY_NAME,
    FIELDS,
    PERSONAL_MASK,
    WELL_FORMED,
    Field,
    mask_of,
)
from enrichment.payment import Facts
from enrichment.providers.amounts import Amounts
from enrichment.providers.card_testing import CardTesting
from enrichment.providers.contact import Contact
from enrichment.providers.device import DeviceContinuity
from enrichment.providers.merchant import Merchant
from enrichment.providers.network import Network
from enrichment.reader import read_by_twin
from enrichment.signals import SCORE_MASK, Signals, signals
from enrichment.velocity import VelocityKind
from gateway.outcomes.labels import _fields
from gateway.programs.documents import examine_policy
from issuernetwork.v1 import enrichment_pb2, feed_pb2
from tests.unit.docs import fields_page
from tests.unit.docs.pages import REFERENCE, ROOT
from tests.unit.docs.test_schemas import faults
from tests.unit.enrichment.requests import NOW_MS, full_request
from tests.unit.sharing.kit import Kit, requests, sample_files
from tests.unit.sharing.opened import released

SCHEMA = fields_page.schema()
PROTO = (ROOT / "proto" / "issuernetwork" / "v1" / "enrichment.proto").read_text()

# Data categories of fideslang 3.2 that ours are of (its default taxonomy, data_categories).
CATEGORIES = {
    "system.operations", "user.account", "user.behavior", "user.behavior.purchase_history",
    "user.contact.address", "user.contact.email", "user.contact.phone_number", "user.device",
    "user.device.device_id", "user.device.ip_address", "user.device.telemetry",
    "user.financial.credit_card", "user.location.coarse", "user.name", "user.payment",
}  # fmt: skip

NOT_SHARED = {
    "request_id", "payment_intent_id", "merchant_id", "platform_id", "network", "mit_reason",
    "cardholder_region", "validate_only", "card.network_token", "card.card_ref", "card.last4_source",
    "card.commercial", "acquirer.acquiring_institution_id", "acquirer.terminal_id",
}  # fmt: skip
"""What a request is handled by, and parts of what is shared as one: `mit_reason` of `initiation`,
`commercial` of `funding`."""


def test_the_page_is_the_table() -> None:
    committed = (REFERENCE / "fields.md").read_text()
    assert committed == fields_page.page(), "run python -m tests.unit.docs.generate"


def members(message: Any, prefix: str = "") -> dict[str, str]:
    """Path to the class that the contract's comment ends with, "" where it gives none."""
    body = re.search(rf"^message {message.name} {{\n(.*?)^}}", PROTO, re.M | re.S)
    assert body, message.name
    found = {}
    for field in message.fields:
        told = re.search(
            rf"// ([^\n]*)\n +(?:optional |repeated )?\S+ {field.name} = {field.number};", body[1]
        )
        assert told, f"{prefix}{field.name} has no comment"
        last = told[1].split()[-1]
        found[prefix + field.name] = last if last in ("A", "Y", "I", "P") else ""
        inner = field.message_type
        if inner is not None and not field.is_repeated and inner.file is message.file:
            found.update(members(inner, f"{prefix}{field.name}."))
    return found


CONTRACT = members(enrichment_pb2.EnrichAuthorizationRequest.DESCRIPTOR)


@pytest.mark.parametrize("field", [one for one in FIELDS if one.source], ids=lambda one: one.name)
def test_a_field_is_where_the_table_says_in_the_request_with_the_same_class(field: Field) -> None:
    assert CONTRACT[field.source] == field.sensitivity


def test_whatever_a_request_holds_is_shared_under_a_name_or_said_not_to_be() -> None:
    sources = {one.source for one in FIELDS if one.source}
    groups = {path for path in CONTRACT if any(other.startswith(f"{path}.") for other in CONTRACT)}
    parts = {path for path in CONTRACT for source in sources if path.startswith(f"{source}.")}
    assert CONTRACT.keys() - sources - parts - groups == NOT_SHARED


def test_every_field_has_a_category_a_provider_and_a_known_rule_of_quality() -> None:
    assert {field.category for field in FIELDS} <= CATEGORIES
    assert all(field.provider and field.meaning for field in FIELDS)
    assert {field.quality for field in FIELDS} == quality.RULES.keys() | {WELL_FORMED, DERIVED}
    assert {reason for reasons in quality.RULES.values() for reason in reasons} == quality.MEND.keys()
    numbers = {one.number for one in FIELDS if one.shape.schema["type"] in ("integer", "number")}
    without = {"ip_asn", "score_raw", "score_norm", "score_percentile"}
    assert {FIELDS[number].name for number in numbers if not FIELDS[number].unit} == without


def test_whoever_sends_a_field_has_to_keep_its_form_and_nobody_that_of_what_is_derived() -> None:
    sent = {field.name for field in FIELDS if field.source or field.purpose != AUTHORIZATION}
    assert {field.name for field in FIELDS if field.quality == WELL_FORMED} < sent
    assert not {field.name for field in FIELDS if field.quality == DERIVED} & sent


def test_the_page_names_every_code_of_a_request() -> None:
    public = {name: value for name, value in vars(formats).items() if name.isupper() and name[0] != "_"}
    assert set(fields_page.OF_REQUESTS) == {value for value in public.values() if isinstance(value, str)}


@pytest.mark.parametrize(
    "provider", [authentication, card, identity, merchant, network, velocity], ids=lambda one: one.__name__
)
def test_a_field_is_made_where_the_table_says(provider: Any) -> None:
    name = provider.__name__.rpartition(".")[2]
    assert {FIELDS[number].provider for number in provider.VALUES} == {name}


@pytest.mark.parametrize(
    "provider",
    [Amounts, CardTesting, Contact, DeviceContinuity, Merchant(rates_named=True), Network()],
    ids=lambda one: str(one.name),
)
def test_a_field_that_is_looked_up_is_so_where_the_table_says(provider: Any) -> None:
    given = [FIELD_BY_NAME[name] for name in provider.gives if name in FIELD_BY_NAME]
    assert {field.provider for field in given} == {provider.name}


def test_the_score_makes_what_the_table_says() -> None:
    assert {one.provider for one in FIELDS if SCORE_MASK >> one.number & 1} == {"score"}


def full() -> Signals:
    payment: Any = read_by_twin(full_request().SerializeToString(), NOW_MS)
    return signals(payment, Facts(((1,) * 8,) * len(VelocityKind)))


def test_the_values_of_a_full_request_keep_to_the_schema() -> None:
    known = full()
    values = {FIELDS[number].name: value for number, value in known.values.items()}
    assert values.keys() >= {one.name for one in FIELDS if one.source and one.group != "history"}
    assert list(faults(values, SCHEMA, SCHEMA)) == []


def test_shares_that_their_recipients_open_keep_to_the_schema() -> None:
    kit = Kit()
    kit.results(*requests(40))
    opened = [body["fields"] for _, _, body in released(kit)]
    assert len(opened) > 20
    for fields in opened:
        assert list(faults(fields, SCHEMA, SCHEMA)) == []


def test_what_is_shared_of_a_label_keeps_to_the_schema() -> None:
    label = feed_pb2.LabelEvent(
        kind=feed_pb2.LABEL_KIND_DISPUTE, source=feed_pb2.LABEL_SOURCE_TC40, fraud_type="04",
        state=feed_pb2.LABEL_STATE_CONFIRMED, dispute_stage=feed_pb2.DISPUTE_STAGE_WON,
        reported_at_ms=1, effective_at_ms=1, amount_minor=7, source_ref="ARN-1",
    )  # fmt: skip
    label.match.network_transaction_id = "MCS8A1B2C30229"
    fields = _fields(label)
    reported = {one.name for one in FIELDS if one.purpose != AUTHORIZATION}
    assert fields.keys() == reported | {"network_txn_id"}
    assert list(faults(fields, SCHEMA, SCHEMA)) == []
    label.match.network_transaction_id = "4111 1111 1111 1111"
    assert "network_txn_id" not in _fields(label)


@pytest.mark.parametrize("field", FIELDS, ids=lambda one: one.name)
def test_the_check_of_policies_takes_a_field_under_its_purpose_and_no_other(field: Field) -> None:
    """A program for reports may have what is not personal; one for authorizations all but reports."""
    personal = bool(PERSONAL_MASK >> field.number & 1)
    for program, kind in (("enhanced-data", "ahead"), ("fraud-reports", "after")):
        file = f"programs/{program}.yaml"
        files = {**sample_files()}
        files[file] = re.sub(r"^fields:\n", f"fields:\n  - {field.name}\n", files[file], flags=re.M)
        _, found = examine_policy(files, applied_at_ms=0)
        refused = [one for one in found if one.file == file and f'"{field.name}"' in one.what]
        wrong = personal if kind == "after" else field.purpose != AUTHORIZATION
        assert bool(refused) == wrong, refused


def test_a_mask_of_all_fields_has_a_bit_for_each() -> None:
    assert mask_of(FIELD_BY_NAME).bit_count() == len(FIELDS)
