"""Policy documents: taken whole, or every mistake told at once, with its place and how to mend it."""

from collections.abc import Mapping
from copy import deepcopy
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.programs import documents
from gateway.programs.documents import KINDS, SINGLES, examine_policy, load_policy
from gateway.programs.issues import PolicyInvalid, Report, near
from gateway.programs.model import IinRange, Tier
from gateway.programs.partial import ERRORS_MAX
from gateway.programs.schema import start_ms
from gateway.programs.standing import recipients_without_key

ROOT = Path(__file__).parents[3] / "deploy" / "sample" / "policy"
SALT = "c2FtcGxlIHByb2dyYW0gc2FsdCwgbm90IGZvciByZWFs"


@pytest.fixture(scope="module")
def sample() -> Mapping[str, str]:
    return {path.relative_to(ROOT).as_posix(): path.read_text() for path in ROOT.rglob("*.yaml")}


def refused(files: Mapping[str, str]) -> list[str]:
    with pytest.raises(PolicyInvalid) as caught:
        load_policy(files)
    return [str(issue) for issue in caught.value.issues]


def edited(sample: Mapping[str, str], file: str, old: str, new: str) -> dict[str, str]:
    assert old in sample[file]
    return {**sample, file: sample[file].replace(old, new, 1)}


def test_the_sample_policy_is_taken_whole(sample: Mapping[str, str]) -> None:
    policy = load_policy(sample, version=7)
    assert (policy.version, len(policy.issuers), len(policy.programs), len(policy.enrolments)) == (7, 5, 3, 7)
    assert policy.issuers["northgate-bank"].iin_ranges == (IinRange("90100101", "90100101"),)
    assert policy.merchants["m-0175"].tier is Tier.BASIC
    assert policy.merchants["m-0195"].tier is Tier.OPTED_OUT
    assert "m-0185" not in policy.merchants


BROKEN: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "broken_documents.yaml").read_text())
NOW_MS = start_ms(date(2026, 11, 21))

RISK = "programs/risk-score.yaml"
NORTHGATE = "enrolments/northgate-bank-risk-score.yaml"
MERIDIAN = "enrolments/meridian-cards-risk-score.yaml"


def broken(files: Mapping[str, str], case: Mapping[str, Any]) -> dict[str, str]:
    """The files with one case's change."""
    file, was, becomes = case["file"], case.get("was"), case.get("becomes")
    if becomes is None:
        return {name: text for name, text in files.items() if name != file}
    return {**files, file: becomes} if was is None else edited(files, file, was, becomes)


def told(
    files: Mapping[str, str], *, applied_at_ms: int = NOW_MS, known: documents.Known | None = None
) -> list[list[str]]:
    _, issues = examine_policy(files, applied_at_ms=applied_at_ms, known=known)
    return [[one.file, one.path, one.text] for one in issues]


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: f"{case['file']}: {case.get('becomes')}")
def test_a_mistake_is_told_with_file_place_and_remedy_and_nothing_else_is(
    sample: Mapping[str, str], case: dict[str, Any]
) -> None:
    assert told(broken(sample, case)) == case["told"]


def test_there_are_enough_broken_documents_of_every_kind() -> None:
    assert len(BROKEN) >= 40
    kinds = {case["file"].partition("/")[0] for case in BROKEN}
    assert kinds >= {*KINDS, *SINGLES}


def test_all_mistakes_of_all_files_are_told_at_once(sample: Mapping[str, str]) -> None:
    files: Mapping[str, str] = dict(sample)
    changed: dict[str, list[list[str]]] = {}
    for case in BROKEN:
        # One of each file, where nothing is said of another, and the file is still there.
        if (
            case["file"] not in changed
            and {one[0] for one in case["told"]} == {case["file"]}
            and "was" in case
        ):
            files = broken(files, case)
            changed[case["file"]] = case["told"]
    assert len(changed) >= 9
    assert sorted(told(files)) == sorted(one for issues in changed.values() for one in issues)


def read(case: Mapping[str, Any], files: Mapping[str, str]) -> tuple[Any, frozenset[str] | None]:
    """What becomes of the case's file, and what of it could not be read."""
    file = case["file"]
    model = SINGLES.get(file) or KINDS[file.partition("/")[0]][0]
    return documents._document(file, files[file], model, Report())


BEAR_ON_EACH_OTHER = [
    # One of the two says what the other is held against.
    ("  - score_raw\n  - score_raw\n", "  - score_nrom\n"),
    ("  - score_raw\n  - score_raw\n", "  - device_attempts_10m\n  - label_state\ntiers"),
    ("valid_until: 2024-01-01", "valid_from: "),
    ("attestation_expires: 2025-01-01", "valid_from: "),
    ("attestation_expires: 2026-09-01", "state: killed"),
    ("fields: [ship_bill_mach]", "  Germany:\n"),
    ("tooshort", "salts: none"),
]
"""Beginnings of what two changes write, where less is told of both than of each by itself."""


def test_a_member_that_cannot_be_read_hides_nothing_that_is_wrong_with_the_others(
    sample: Mapping[str, str],
) -> None:
    known: documents.Known = {}
    _, none = examine_policy(sample, applied_at_ms=NOW_MS, known=known)
    assert none == ()
    tried, edits = 0, [case for case in BROKEN if "was" in case]
    for case in edits:
        files = broken(sample, case)
        if read(case, files)[1] is None:
            continue
        for other in edits:
            # In one file, apart from each other.
            text = files.get(case["file"], "")
            if other is case or other["file"] != case["file"] or other["was"] not in text:
                continue
            both = broken(files, other)
            if case["becomes"] not in both[case["file"]] or case["was"] in other["becomes"]:
                continue
            if read(other, broken(sample, other))[0] is None:
                continue
            tried += 1
            found = told(both, known=known)
            names = (case["becomes"], other["becomes"])
            if any(all(any(n.startswith(b) for n in names) for b in pair) for pair in BEAR_ON_EACH_OTHER):
                continue
            assert sorted(found) == sorted(case["told"] + other["told"]), names
    assert tried >= 300


@pytest.mark.parametrize("file",
    [
        "merchants.yaml", "regions.yaml", "experiment.yaml", RISK, MERIDIAN, "issuers/northgate-bank.yaml",
        "recipients/northgate-bank.yaml",
    ],
)  # fmt: skip
def test_whichever_member_is_missing_or_wrong_the_rest_of_the_document_is_read(
    sample: Mapping[str, str], file: str
) -> None:
    raw = yaml.safe_load(sample[file])
    places = [(name,) for name in raw] + [
        (name, inner) for name, held in raw.items() if isinstance(held, dict) for inner in held
    ]
    if file == "merchants.yaml":
        places += [("merchants", 0, inner) for inner in raw["merchants"][0]]
    for place in places:
        for wrong in (None, 5, ["x", 5], {"x": [5]}):
            changed = deepcopy(raw)
            holder = changed
            for part in place[:-1]:
                holder = holder[part]
            if wrong is None:
                del holder[place[-1]]
            else:
                holder[place[-1]] = wrong
            files = {file: yaml.safe_dump(changed)}
            assert read({"file": file}, files)[0] is not None, (place, wrong)


def test_a_file_with_more_mistakes_than_a_document_has_is_told_whole_and_left_out(
    sample: Mapping[str, str],
) -> None:
    for count in (ERRORS_MAX, ERRORS_MAX + 1):
        files = edited(sample, "issuers/northgate-bank.yaml", '"90100101"', ", ".join(["1"] * count))
        files = edited(files, "issuers/northgate-bank.yaml", "recipient_id: north", "recipient_id: south")
        found = [one[1] for one in told(files)]
        more = ["recipient_id"] * (count == ERRORS_MAX)
        assert found == [f"iin_ranges.{number}" for number in range(count)] + more


def test_no_value_of_a_document_is_told(sample: Mapping[str, str]) -> None:
    known: documents.Known = {}
    for case in BROKEN:
        files = broken(sample, case)
        for _, path, text in told(files, known=known):
            for secret in (SALT, "opt-out form", "90100101", "northgate-bank-2026-1"):
                assert secret not in text + path.replace(SALT, "")


def test_one_place_of_the_message_is_filled_by_one_program_of_an_issuer(sample: Mapping[str, str]) -> None:
    files = edited(
        sample, "programs/enhanced-data.yaml", "transports: [lookup", "transports: [message, lookup"
    )
    files["enrolments/meridian-cards-enhanced-data.yaml"] = (
        sample[MERIDIAN]
        .replace("meridian-cards-risk-score", "meridian-cards-enhanced-data")
        .replace("program: risk-score", "program: enhanced-data")
        .replace("  - score_scale\n  - reason_codes\n  - model_id\n  - card_attempts_10m\n", "")
        .replace("  DE48.SE72: model_id\n", "")
    )
    assert told(files) == [
        [
            MERIDIAN,
            "message_elements.DE48.SE71",
            "enrolments/meridian-cards-enhanced-data.yaml fills it for the same issuer. "
            "Take another target for one of the two.",
        ]
    ]


@pytest.mark.parametrize(
    ("late_ms", "change", "expired"),
    [
        (-1, "", False),
        (0, "", True),
        (1, "", True),
        (1, "state: paused", False),  # shares nothing
        (1, "valid_until: 2026-11-21", False),  # has run out
    ],
)
def test_an_attestation_is_in_date_when_the_policy_is_applied(
    sample: Mapping[str, str], late_ms: int, change: str, expired: bool
) -> None:
    files = edited(sample, NORTHGATE, "attestation_expires: 2035-01-01", "attestation_expires: 2026-11-21")
    if change:
        files = edited(
            files, NORTHGATE, {"s": "state: active", "v": "valid_until: 2035-01-01"}[change[0]], change
        )
    found = told(files, applied_at_ms=NOW_MS + late_ms)
    assert [one[:2] for one in found] == [[NORTHGATE, "attestation_expires"]] * expired
    # A snapshot that is in force is read again whatever the day.
    load_policy(files)


def test_a_recipient_without_key_is_named_at_an_enrolment_that_would_share_with_it(
    sample: Mapping[str, str],
) -> None:
    def missing(files: Mapping[str, str], *with_key: str) -> list[tuple[str, str]]:
        found = recipients_without_key(load_policy(files), NOW_MS, lambda one: one in with_key)
        assert all(f"recipients/{one.what.split(chr(34))[1]}.jwks.json" in one.mend for one in found)
        return [(one.file, one.path) for one in found]

    everyone = ("northgate-bank", "harbor-federal", "meridian-cards", "atlas-processing")
    assert missing(sample, *everyone) == []
    assert missing(sample, *everyone[1:]) == [("enrolments/northgate-bank-enhanced-data.yaml", "issuer_id")]
    assert len(missing(sample)) == 4
    for file, was, becomes in (
        (MERIDIAN, "state: active", "state: paused"),
        (MERIDIAN, "valid_until: 2035-01-01", "valid_until: 2026-11-21"),
        ("recipients/meridian-cards.yaml", "status: enabled", "status: disabled"),
    ):
        files = edited(sample, file, was, becomes)
        assert missing(files, *everyone[:2], "atlas-processing") == [], becomes


def test_a_salt_is_in_no_error_and_no_repr(sample: Mapping[str, str]) -> None:
    for new in (f"[{SALT}]", f"{SALT}\n  {SALT}: 1", SALT[:5], f"'{SALT}", f"{{{SALT}: {SALT}}}"):
        lines = "\n".join(refused(edited(sample, "experiment.yaml", SALT, new)))
        assert SALT[:5] not in lines.replace(f"salts.{SALT}", "")
    assert SALT not in repr(load_policy(sample))
    assert str(load_policy(sample).experiment.salts["2026-1"]) not in repr(load_policy(sample))


def test_a_document_in_an_unknown_place_is_refused(sample: Mapping[str, str]) -> None:
    assert any("Did you mean" in line for line in refused({**sample, "program/risk-score.yaml": "a: 1"}))


def test_a_name_is_known_by_how_it_reads_or_begins() -> None:
    known = ["ramp_percent", "holdout_percent"]
    assert near("ramp_percen", known) == near("ramp", known) == 'Did you mean "ramp_percent"?'
    assert near("ram", known) == near("percent_of_cards", known) == ""


def test_a_file_has_the_name_of_its_id(sample: Mapping[str, str]) -> None:
    files = dict(sample)
    files["issuers/other.yaml"] = files.pop("issuers/lakeside-trust.yaml")
    assert any("issuers/other.yaml: issuer_id" in line for line in refused(files))


def test_what_was_read_before_is_read_again_only_where_it_changed(
    sample: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    known: documents.Known = {}
    first = load_policy(sample, known=known)
    read: list[str] = []
    parse = documents._parse
    monkeypatch.setattr(documents, "_parse", lambda name, *rest: read.append(name) or parse(name, *rest))
    files = edited(sample, RISK, "holdout_percent: 50", "holdout_percent: 5")
    again = load_policy(files, known=known)
    assert read == [RISK]
    assert again == load_policy(files) != first
    broken = edited(sample, RISK, "kind: ahead", "kind: no")
    for _ in range(2):  # a mistake is told each time
        with pytest.raises(PolicyInvalid):
            load_policy(broken, known=known)
    fewer = {name: text for name, text in sample.items() if name != NORTHGATE}
    assert load_policy(fewer, known=known) == load_policy(fewer)
    assert known.keys() == fewer.keys()
