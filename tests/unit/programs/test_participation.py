"""The record of who takes part says what the table can let leave, and no more."""

import json
from dataclasses import asdict, replace
from typing import Any

import pytest

from enrichment.fields import EVERY_BIT, FIELD_BY_NAME
from gateway.programs.consent_rows import MEMBER, NOBODY, ROW, TwinRegistered
from gateway.programs.documents import load_policy
from gateway.programs.issues import PolicyInvalid
from gateway.programs.model import PolicySnapshot, Tier
from gateway.programs.participation import participants, parties
from gateway.programs.switches import EVERY_ISSUER, SwitchView
from gateway.programs.table import Query, Release, compile_table
from gateway.records.reasons import Reason
from gateway.server.policy import read_policy
from tests.kit.installation import SAMPLE_POLICY

NOW_MS = 1_790_000_000_000
EVERYTHING = EVERY_BIT
KEPT: Any = {"registry": TwinRegistered(), "kept_sealed_days": 8, "kept_pseudonymous_days": 400}


@pytest.fixture(scope="module")
def policy() -> PolicySnapshot:
    return load_policy(read_policy(SAMPLE_POLICY), version=7)


def test_every_enrolment_has_its_row_and_nobody_else(policy: PolicySnapshot) -> None:
    found = participants(policy, SwitchView(0), now_ms=NOW_MS, **KEPT)
    assert {(one.program, one.issuer_id) for one in found.issuers} == {
        (one.program, one.issuer_id) for one in policy.enrolments
    }
    assert found.policy_version == 7


def test_the_fields_named_are_those_that_the_table_releases_at_most(policy: PolicySnapshot) -> None:
    table = compile_table(policy)
    parties = [("", name) for name, one in policy.platforms.items() if one.tier is Tier.ENHANCED]
    released: dict[tuple[str, str], int] = {}
    for issuer in table.issuers.values():
        for entry in issuer.programs + issuer.after:
            for region in policy.regions:
                for merchant_id, platform_id in parties:
                    query = Query(
                        region, merchant_id, platform_id, 1, "5411", 1, "US", EVERYTHING, 0, NOW_MS, False
                    )
                    given = entry.release(query)
                    if isinstance(given, Release):
                        key = (entry.program, entry.issuer_id)
                        released[key] = released.get(key, 0) | given.mask
    assert parties
    assert released
    for one in participants(policy, SwitchView(0), now_ms=NOW_MS, **KEPT).issuers:
        names = {name for row in one.data for name in row.fields}
        mask = sum(1 << FIELD_BY_NAME[name].number for name in names)
        assert mask == released[one.program, one.issuer_id], (one.program, one.issuer_id)


def test_personal_data_stands_under_its_own_category(policy: PolicySnapshot) -> None:
    (harbor,) = [
        one
        for one in participants(policy, SwitchView(0), now_ms=NOW_MS, **KEPT).issuers
        if (one.program, one.issuer_id) == ("enhanced-data", "harbor-federal")
    ]
    by_category = {row.category: row.fields for row in harbor.data}
    assert "email" in by_category["personal"]
    assert "mcc" in by_category["low sensitivity"]
    assert harbor.transfers == ("GB",)


def test_a_kill_shows_and_a_record_is_json(policy: PolicySnapshot) -> None:
    view = SwitchView(3, {("risk-score", EVERY_ISSUER): Reason.KILLED})
    found = participants(policy, view, now_ms=NOW_MS, **KEPT)
    assert {one.state for one in found.issuers if one.program == "risk-score"} == {"killed"}
    told: Any = json.loads(json.dumps(asdict(found)))
    assert (told["kept_sealed_days"], told["kept_pseudonymous_days"]) == (8, 400)


def test_what_has_run_out_counts_as_not_in_force(policy: PolicySnapshot) -> None:
    name, one = next(iter(policy.platforms.items()))
    over = replace(policy, merchants={name: replace(one, valid_until_ms=NOW_MS)})
    assert participants(over, SwitchView(0), now_ms=NOW_MS, **KEPT).merchants.by_tier == {"not in force": 1}
    assert sum(participants(over, SwitchView(0), now_ms=NOW_MS - 1, **KEPT).merchants.by_tier.values()) == 1


def test_what_the_registry_knows_of_a_party_stands_in_place_of_its_document(policy: PolicySnapshot) -> None:
    before = participants(policy, SwitchView(0), now_ms=NOW_MS, **KEPT).merchants.by_tier
    opted_out = next(name for name, one in policy.merchants.items() if one.tier is Tier.OPTED_OUT)
    said = [
        (opted_out, "BASIC", NOW_MS + 1),
        ("m-new", "ENHANCED", NOW_MS + 1),
        ("m-over", "ENHANCED", NOW_MS),
    ]
    registry = TwinRegistered()
    rows = [
        ("merchant", party_id, tier, "1", 0, until_ms, 1, number)
        for number, (party_id, tier, until_ms) in enumerate(said)
    ]
    registry.take(ROW.join(MEMBER.join(map(str, row)) for row in rows))
    found = participants(policy, SwitchView(0), now_ms=NOW_MS, **{**KEPT, "registry": registry})
    assert found.merchants.by_tier == {
        **before,
        "opted_out": before["opted_out"] - 1,
        "basic": before["basic"] + 1,
        "enhanced": 1,
        "not in force": 1,
    }


def with_terms(terms: str) -> dict[str, str]:
    files = dict(read_policy(SAMPLE_POLICY))
    files["enrolments/harbor-federal-enhanced-data.yaml"] += f"terms: {terms}\n"
    return files


def test_what_the_contract_says_besides_stands_in_the_record_and_lets_nothing_more_leave(
    policy: PolicySnapshot,
) -> None:
    said = load_policy(
        with_terms("{transfer_basis: standard_clauses, dpia_reference: D-7, retention_days: 30}"), version=7
    )
    [harbor] = [
        one.terms
        for one in participants(said, SwitchView(0), now_ms=NOW_MS, **KEPT).issuers
        if (one.program, one.issuer_id) == ("enhanced-data", "harbor-federal")
    ]
    assert (harbor.transfer_basis, harbor.dpia_reference, harbor.retention_days) == (
        "standard_clauses", "D-7", 30,
    )  # fmt: skip
    assert (harbor.onward_transfer, harbor.model_training, harbor.cross_sender_use) == ("forbidden",) * 3
    entries = [
        [
            replace(one, consents=NOBODY)
            for issuer in compile_table(of).issuers.values()
            for one in issuer.programs
        ]
        for of in (policy, said)
    ]
    assert entries[0] == entries[1]


@pytest.mark.parametrize(
    ("terms", "path"),
    [
        ("{transfer_base: adequacy}", "terms.transfer_base"),
        ("{transfer_basis: hope}", "terms.transfer_basis"),
        ("{retention_days: 0}", "terms.retention_days"),
        ("{onward_transfer: true}", "terms.onward_transfer"),
        ("[]", "terms"),
    ],
)
def test_terms_that_are_not_of_the_closed_form_are_refused_by_their_path(terms: str, path: str) -> None:
    with pytest.raises(PolicyInvalid) as refused:
        load_policy(with_terms(terms))
    assert [one.path for one in refused.value.issues] == [path]


def test_each_party_is_named_with_what_it_agreed_to_since_when_and_for_which_fields(
    policy: PolicySnapshot,
) -> None:
    said = TwinRegistered()
    rows = [
        ("merchant", "m-0175", "NONE", "2026", 5, 9, 1, 1),
        ("merchant", "m-new", "ENHANCED", "2026", 5, NOW_MS + 1, 1, 2),
    ]
    said.take(ROW.join(MEMBER.join(map(str, row)) for row in rows))
    found = {(one.party, one.party_id): one for one in parties(policy, registry=said, now_ms=NOW_MS)}
    assert set(found) == {
        ("merchant", "m-new"),
        *(("merchant", name) for name in policy.merchants),
        *(("platform", name) for name in policy.platforms),
    }
    gone = found["merchant", "m-0175"]
    assert (gone.tier, gone.in_force, gone.fields) == ("none", False, {}), "the registry stands for documents"
    new = found["merchant", "m-new"]
    assert (new.tier, new.in_force, new.since_ms, new.until_ms) == ("enhanced", True, 5, NOW_MS + 1)
    assert new.consent_id == "merchant/m-new/2026/enhanced"
    basic = found["merchant", "m-0176"]
    for program, names in basic.fields.items():
        assert set(names) <= set(new.fields[program])
    assert set(new.fields) == {one.program for one in policy.programs.values()}
