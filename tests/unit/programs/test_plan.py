"""A plan says who gains or loses what, and what deserves a look; it never shows a salt."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway.programs.documents import load_policy
from gateway.programs.members import MemberChange
from gateway.programs.model import PolicySnapshot
from gateway.programs.plan import EMPTY, ConsentChange, DocumentChange, FieldChange, Plan, plan
from gateway.programs.switches import EVERY_ISSUER, SwitchView
from gateway.records.reasons import Reason
from gateway.server.cli.counted import counted
from gateway.server.cli.plan_text import plan_json, plan_lines
from gateway.server.policy import read_policy

ROOT = Path(__file__).parents[3] / "deploy" / "sample" / "policy"
NOW_MS = 1_795_000_000_000  # 2026-11-18
NO_CARDS = {"cards": 0, "each_stands_for": 1, "covered_ms": 0}

RISK = "programs/risk-score.yaml"
ISSUER = "issuers/northgate-bank.yaml"
NORTHGATE = "enrolments/northgate-bank-risk-score.yaml"
HARBOR = "enrolments/harbor-federal-enhanced-data.yaml"
EXPERIMENT = "experiment.yaml"
OTHER_SALT = "YW5vdGhlciBzYWx0LCBub3QgZm9yIHJlYWwgZWl0aGVy"

Edit = tuple[str, str, str]


@pytest.fixture(scope="module")
def sample() -> Mapping[str, str]:
    return read_policy(ROOT)


@pytest.fixture(scope="module")
def before(sample: Mapping[str, str]) -> PolicySnapshot:
    return load_policy(sample, version=4)


def edited(sample: Mapping[str, str], *edits: Edit) -> dict[str, str]:
    files = dict(sample)
    for file, old, new in edits:
        assert old in files[file], (file, old)
        files[file] = files[file].replace(old, new, 1)
    return files


def planned(
    before: PolicySnapshot, files: Mapping[str, str], stops: Mapping[tuple[str, str], Reason] | None = None
) -> Plan:
    return plan(before, load_policy(files), SwitchView(1, stops or {}), now_ms=NOW_MS)


def warned(change: Plan) -> set[tuple[str, str, str]]:
    return {(one.code, one.program, one.issuer_id) for one in change.warnings}


def test_the_same_documents_change_nothing(before: PolicySnapshot, sample: Mapping[str, str]) -> None:
    same = planned(before, sample)
    assert not same.changes
    assert same == Plan(4, (), (), (), ())


def test_a_field_more_is_gained_where_the_region_lets_it_and_is_new_to_the_world(
    before: PolicySnapshot, sample: Mapping[str, str]
) -> None:
    change = planned(before, edited(sample, (HARBOR, "  - email\n", "  - email\n  - phone_e164\n")))
    # Great Britain allows no telephone number, and only tier enhanced has it.
    assert change.fields == (
        FieldChange("enhanced-data", "harbor-federal", ("US",), ("enhanced",), ("phone_e164",), ()),
    )
    [document] = change.documents
    assert document == DocumentChange(
        "enrolment", "harbor-federal-enhanced-data", "changed", (MemberChange("fields", (), ("phone_e164",)),)
    )
    # Northgate's enrolment has it, in shadow: nobody gets it today.
    assert warned(change) == {("first_release", "enhanced-data", "harbor-federal")}


def test_a_paused_program_takes_everything_from_everyone(
    before: PolicySnapshot, sample: Mapping[str, str]
) -> None:
    change = planned(before, edited(sample, (RISK, "state: active", "state: paused")))
    assert {one.issuer_id for one in change.fields} == {
        "northgate-bank",
        "meridian-cards",
        "summit-credit-union",
    }
    assert all(one.lost and not one.gained for one in change.fields)
    basic = [one for one in change.fields if one.issuer_id == "northgate-bank" and one.tiers == ("basic",)]
    assert [(one.regions, set(one.lost)) for one in basic] == [
        (("DE", "GB", "US"), {"score_norm", "score_scale", "model_id"})
    ]
    assert change.warnings == ()
    # What was shared before the pause is no news behind it.
    resumed = planned(load_policy(edited(sample, (RISK, "state: active", "state: paused"))), sample)
    assert (bool(resumed.fields), resumed.warnings) == (True, ())


def test_shadow_shares_nothing_and_leaving_it_is_a_gain(
    before: PolicySnapshot, sample: Mapping[str, str]
) -> None:
    file = "enrolments/northgate-bank-enhanced-data.yaml"
    change = planned(before, edited(sample, (file, "state: shadow", "state: active")))
    assert {(one.issuer_id, one.program) for one in change.fields} == {("northgate-bank", "enhanced-data")}
    assert all(one.gained and not one.lost for one in change.fields)


def test_an_enrolment_that_has_ended_gives_nothing_to_lose(
    before: PolicySnapshot, sample: Mapping[str, str]
) -> None:
    ended = edited(sample, (NORTHGATE, "valid_until: 2035-01-01", "valid_until: 2026-11-01"))
    change = planned(before, ended)
    assert {one.issuer_id for one in change.fields if one.lost} == {"northgate-bank"}
    gone = {name: text for name, text in ended.items() if name != NORTHGATE}
    assert planned(load_policy(ended), gone).fields == ()


def test_an_enrolment_that_begins_later_is_a_gain_already(
    before: PolicySnapshot, sample: Mapping[str, str]
) -> None:
    without = {name: text for name, text in sample.items() if name != NORTHGATE}
    later = edited(sample, (NORTHGATE, "valid_from: 2025-01-01", "valid_from: 2027-01-01"))
    change = planned(load_policy(without), later)
    assert {one.issuer_id for one in change.fields if one.gained} == {"northgate-bank"}


def test_documents_are_compared_member_by_member(before: PolicySnapshot, sample: Mapping[str, str]) -> None:
    files = edited(
        sample,
        (
            NORTHGATE,
            "regions: [US, GB, DE]",
            "regions: [US, GB]\nwhen: {channel: [ecom]}\nramp_percent: 12.5",
        ),
        ("issuers/northgate-bank.yaml", '["90100101"]', '["90100101", "901002"]'),
        ("recipients/harbor-federal.yaml", "enabled", "disabled"),
        ("regions.yaml", "    fields: [ship_bill_match]", "    fields: [email]"),
    )
    files["issuers/new-bank.yaml"] = 'issuer_id: new-bank\niin_ranges: ["90500505"]\nregion: US\n'
    del files["issuers/lakeside-trust.yaml"]
    found = {(one.kind, one.name, one.verb): one.members for one in planned(before, files).documents}
    assert found == {
        ("issuer", "northgate-bank", "changed"): (
            MemberChange("iin_ranges", (), ("90100200-90100299",)),
        ),
        ("issuer", "new-bank", "added"): (),
        ("issuer", "lakeside-trust", "removed"): (),
        ("recipient", "harbor-federal", "changed"): (
            MemberChange("status", ("enabled",), ("disabled",), whole=True),
        ),
        ("enrolment", "northgate-bank-risk-score", "changed"): (
            MemberChange("regions", ("DE",), ()),
            MemberChange("ramp_percent", (), ("12.5%",), whole=True),
            MemberChange("when.channel", (), ("ecom",), whole=True),
        ),
        ("region", "DE", "changed"): (MemberChange("fields", ("ship_bill_match",), ("email",)),),
    }  # fmt: skip


def test_consents_are_counted_by_tier(before: PolicySnapshot, sample: Mapping[str, str]) -> None:
    moved = planned(before, edited(sample, ("merchants.yaml", "tier: basic", "tier: enhanced")))
    assert moved.consents == (ConsentChange("merchant", "basic", "enhanced", 10),)
    removed = planned(before, edited(sample, ("merchants.yaml", "m-0170, ", "")))
    assert removed.consents == (ConsentChange("merchant", "basic", "silent", 1),)


WARNINGS = [
    ((RISK, "ramp_percent: 100", "ramp_percent: 40"), "ramp_lowered"),
    ((RISK, "holdout_percent: 50", "holdout_percent: 5"), "holdout_changed"),
    (
        (NORTHGATE, "valid_until: 2035-01-01", "valid_until: 2026-12-01"),
        "ends_soon",
    ),
    ((NORTHGATE, "attestation_expires: 2035-01-01", "attestation_expires: 2026-11-01"), "ends_soon"),
    ((ISSUER, "recipient_id: northgate-bank", "recipient_id: harbor-federal"), "recipient_changed"),
]


@pytest.mark.parametrize(("edit", "code"), WARNINGS, ids=[f"{code}-{edit[0]}" for edit, code in WARNINGS])
def test_what_deserves_a_look_is_warned_of(
    before: PolicySnapshot, sample: Mapping[str, str], edit: Edit, code: str
) -> None:
    change = planned(before, edited(sample, edit))
    assert (code, "risk-score", "northgate-bank") in warned(change)


@pytest.mark.parametrize(
    "edit",
    [
        (RISK, "ramp_percent: 100", "ramp_percent: 100"),
        (RISK, "holdout_percent: 50", "holdout_percent: 50.0"),
        (NORTHGATE, "valid_until: 2035-01-01", "valid_until: 2026-12-31"),
        (RISK, "state: active\nramp_percent: 100", "state: retired\nramp_percent: 10"),
    ],
)
def test_what_does_not_is_not(before: PolicySnapshot, sample: Mapping[str, str], edit: Edit) -> None:
    assert planned(before, edited(sample, edit)).warnings == ()


def test_a_ramp_that_rises_is_no_warning(before: PolicySnapshot, sample: Mapping[str, str]) -> None:
    low = load_policy(edited(sample, (RISK, "ramp_percent: 100", "ramp_percent: 1")))
    assert planned(low, sample).warnings == ()
    assert planned(low, sample).changes


def test_a_new_salt_is_warned_of_and_neither_salt_is_shown(
    before: PolicySnapshot, sample: Mapping[str, str]
) -> None:
    old = "c2FtcGxlIHByb2dyYW0gc2FsdCwgbm90IGZvciByZWFs"
    change = planned(before, edited(sample, (EXPERIMENT, old, OTHER_SALT)))
    assert {one.code for one in change.warnings} == {"salt_changed"}
    assert {one.issuer_id for one in change.warnings} >= {"northgate-bank", "meridian-cards"}
    [document] = change.documents
    assert document.members == (MemberChange("salts.2026-1", (), ()),)
    said = repr(change) + repr(plan_json(change, (), NO_CARDS)) + "".join(plan_lines(change, (), NO_CARDS))
    after = load_policy(edited(sample, (EXPERIMENT, old, OTHER_SALT)))
    for secret in (old, OTHER_SALT, *(repr(one) for one in after.experiment.salts.values())):
        assert secret not in said
    assert "salts.2026-1: changed" in said


def test_a_changed_global_salt_is_about_everyone(before: PolicySnapshot, sample: Mapping[str, str]) -> None:
    old = "c2FtcGxlIGdsb2JhbCBzYWx0LCBub3QgZm9yIHJlYWw="
    change = planned(before, edited(sample, (EXPERIMENT, old, OTHER_SALT)))
    assert warned(change) == {("salt_changed", "", "")}


@pytest.mark.parametrize(
    ("reason", "code"), [(Reason.KILLED, "killed"), (Reason.PROGRAM_NOT_ACTIVE, "paused")]
)
@pytest.mark.parametrize("issuer_id", [EVERY_ISSUER, "northgate-bank"])
def test_a_change_behind_a_stop_is_said_to_have_no_effect(
    before: PolicySnapshot, sample: Mapping[str, str], reason: Reason, code: str, issuer_id: str
) -> None:
    files = edited(sample, (NORTHGATE, "  - model_id\n", ""))
    change = planned(before, files, {("risk-score", issuer_id): reason})
    # What does not change is not said to be stopped: Meridian's enrolment is as it was.
    assert warned(change) == {(code, "risk-score", "northgate-bank")}


def test_a_first_policy_is_all_gain_and_no_warning(sample: Mapping[str, str]) -> None:
    change = planned(EMPTY, sample)
    assert change.changes
    assert not any(one.lost for one in change.fields)
    assert change.warnings == ()


def test_issuers_to_whom_the_same_happens_stand_on_one_line(
    before: PolicySnapshot, sample: Mapping[str, str]
) -> None:
    files = edited(sample, (RISK, "holdout_percent: 50", "holdout_percent: 5"))
    lines = list(plan_lines(planned(before, files), (), NO_CARDS))
    assert [line for line in lines if line.startswith("warning")] == [
        "warning holdout_changed: risk-score, meridian-cards, northgate-bank, summit-credit-union: the"
        " holdout goes from 50% to 5% while the experiment runs: cards change arm; a new salt_version"
        " begins a new experiment"
    ]
    assert "      holdout_percent: 50% -> 5%" in lines


@pytest.mark.parametrize(
    ("covered_ms", "said"),
    [
        (0, "in the journal"),
        (1, "in the last hour"),
        (5_400_000, "in the last 1.5 hours"),
        (24 * 3_600_000, "in the last 24.0 hours"),
    ],
)
def test_how_far_the_cards_reach_back_is_said_in_hours(
    before: PolicySnapshot, sample: Mapping[str, str], covered_ms: int, said: str
) -> None:
    change = planned(before, edited(sample, (RISK, "holdout_percent: 50", "holdout_percent: 5")))
    cards = {"cards": 1_500, "each_stands_for": 1, "covered_ms": covered_ms}
    assert f"arms: 1,500 cards {said}" in list(plan_lines(change, (), cards))


def test_one_is_no_plural() -> None:
    assert [counted(count, "card") for count in (0, 1, 2_000)] == ["0 cards", "1 card", "2,000 cards"]


@pytest.mark.parametrize(
    "part", [one.name for one in dataclasses.fields(PolicySnapshot) if one.name != "version"]
)
def test_no_part_of_a_policy_changes_without_a_word(before: PolicySnapshot, part: str) -> None:
    other = dataclasses.replace(EMPTY, **{part: getattr(before, part)})
    assert plan(EMPTY, other, SwitchView(0), now_ms=NOW_MS).changes
