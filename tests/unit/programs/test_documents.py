"""Policy documents: taken whole, or every mistake told at once, with its place and how to mend it."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway.programs import documents
from gateway.programs.documents import load_policy
from gateway.programs.issues import PolicyInvalid
from gateway.programs.model import IinRange, Tier

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


RECIPIENT = "recipients/northgate-bank.yaml"
RISK = "programs/risk-score.yaml"
NORTHGATE = "enrolments/northgate-bank-risk-score.yaml"
REPORTS = "programs/fraud-reports.yaml"
REPORTING = "enrolments/northgate-bank-fraud-reports.yaml"
MERIDIAN = "enrolments/meridian-cards-risk-score.yaml"

MISTAKES = [
    (RISK, "state: active", "state: active\ndeadline_ms: 50", "deadline_ms", "not supported yet. Remove it"),
    (RECIPIENT, "status:", "jwks: keys.json\nstatus:", "jwks", "not supported yet. Put the JWK Set into"),
    (RECIPIENT, "status:", "signing_algorithm: ES256\nstatus:", "signing_algorithm", "not supported yet"),
    (RECIPIENT, "status:", "key_algorithms: [A]\nstatus:", "key_algorithms", "not supported yet. Remove"),
    (RISK, "kind: ahead", "kind: ahaed", "kind", 'Did you mean "ahead"'),
    (RISK, "ramp_percent: 100", "ramp_procent: 100", "ramp_procent", 'Did you mean "ramp_percent"'),
    (RISK, "  - score_norm", "  - score_nrom", "fields", 'Did you mean "score_norm"'),
    (RISK, "holdout_percent: 50", "holdout_percent: 101", "holdout_percent", "less than or equal to 100"),
    (RISK, "holdout_percent: 50", "holdout_percent: 0.00001", "holdout_percent", "four decimals"),
    (RISK, "holdout_percent: 50", 'holdout_percent: "50"', "holdout_percent", "number"),
    (RISK, 'salt_version: "2026-1"', 'salt_version: "2026-2"', "salt_version", 'Did you mean "2026-1"'),
    (RISK, "purpose: fraud_authorization\n", "", "purpose", "Add it"),
    (
        "programs/enhanced-data.yaml",
        "purpose: fraud_authorization",
        "purpose: fraud_reporting",
        "fields",
        "personal",
    ),
    (REPORTS, "transports: [ssf]", "transports: [lookup]", "transports", "[ssf]"),
    (REPORTS, "ramp_percent: 100", "ramp_percent: 0", "ramp_percent", "Set 100"),
    (REPORTS, "holdout_percent: 0", "holdout_percent: 50", "holdout_percent", "Set 0"),
    (REPORTING, "state: active", "state: active\nramp_percent: 99.9999", "ramp_percent", "pause the program"),
    (REPORTING, "state: active", "state: active\nholdout_percent: 100", "holdout_percent", "Set 0"),
    (NORTHGATE, "issuer_id: northgate-bank", "issuer_id: nothgate-bank", "issuer_id", '"northgate-bank"'),
    (NORTHGATE, "regions: [US, GB, DE]", "regions: [US, FR]", "regions", "regions.yaml"),
    (NORTHGATE, "regions: [US, GB, DE]", "regions: [US, NO]", "regions", "Put it in quotes"),
    (NORTHGATE, "  - score_norm", "  - email", "fields", "the program's fields"),
    (NORTHGATE, "valid_until: 2035-01-01", "valid_until: 2024-01-01", "valid_until", "Correct one"),
    (NORTHGATE, "transports: [lookup, ssf]", "transports: [message, ssf]", "message_elements", "Add what"),
    (
        "enrolments/harbor-federal-enhanced-data.yaml",
        "transports: [lookup, ssf]",
        "transports: [message, ssf]",
        "transports",
        "add it to the program",
    ),
    (MERIDIAN, "protection: network", "protection: sealed", "protection", "network"),
    (MERIDIAN, "DE48.SE72: model_id", "DE48.SE72: email", "message_elements.DE48.SE72", "score, velocity"),
    ("issuers/northgate-bank.yaml", '"90100101"', "90100101", "iin_ranges.0", "Put it in quotes"),
    ("issuers/northgate-bank.yaml", '"90100101"', '"9010"', "iin_ranges.0", "6 or 8 digits"),
    ("issuers/northgate-bank.yaml", '"90100101"', '"90200202"', "iin_ranges.0", "narrower range"),
    (
        "issuers/northgate-bank.yaml",
        "recipient_id: northgate-bank",
        "recipient_id: southgate-bank",
        "recipient_id",
        "northgate-bank",
    ),
    ("issuers/northgate-bank.yaml", "recipient_id: northgate-bank\n", "", "issuer_id", "recipient_id"),
    ("regions.yaml", "groups: [correlation", "groups: [corelation", "regions.US.groups", '"correlation"'),
    ("merchants.yaml", "opted_out: true", "opted_out: false", "merchants.1", "tier or opted_out"),
    ("merchants.yaml", "[m-0190", "[m-0170", "merchants.1.ids", "Keep one"),
    ("experiment.yaml", "global_salt: c2F", "global_salt: c2F\nglobal_salt: c2F", "repeated key", "line"),
    ("experiment.yaml", SALT, "tooshort", "salts.2026-1", "at least 22"),
    ("experiment.yaml", "salts:", "salts: [", "not valid YAML", "line"),
    ("regions.yaml", "regions:", "x: &a 1\ny: *a\nregions:", "an alias", "line"),
]


@pytest.mark.parametrize(("file", "old", "new", "place", "mend"), MISTAKES)
def test_a_mistake_is_told_with_place_and_remedy(
    sample: Mapping[str, str], file: str, old: str, new: str, place: str, mend: str
) -> None:
    told = refused(edited(sample, file, old, new))
    assert any(place in line and mend in line for line in told), told


def test_all_mistakes_are_told_at_once(sample: Mapping[str, str]) -> None:
    files = edited(sample, RISK, "kind: ahead", "kind: no")
    files = edited(files, "regions.yaml", "groups: [correlation", "groups: [corelation")
    files = {**edited(files, NORTHGATE, "  - score_norm", "  - email"), "programms/x.yaml": "a: 1"}
    del files["merchants.yaml"]
    told = "\n".join(refused(files))
    for file in (RISK, "regions.yaml", "programms/x.yaml", "merchants.yaml"):
        assert file in told


def test_a_salt_is_in_no_error_and_no_repr(sample: Mapping[str, str]) -> None:
    for new in (f"[{SALT}]", f"{SALT}\n  {SALT}: 1", SALT[:5], f"'{SALT}", f"{{{SALT}: {SALT}}}"):
        told = "\n".join(refused(edited(sample, "experiment.yaml", SALT, new)))
        assert SALT[:5] not in told.replace(f"salts.{SALT}", "")
    assert SALT not in repr(load_policy(sample))
    assert str(load_policy(sample).experiment.salts["2026-1"]) not in repr(load_policy(sample))


def test_a_document_in_an_unknown_place_is_refused(sample: Mapping[str, str]) -> None:
    assert any("Did you mean" in line for line in refused({**sample, "program/risk-score.yaml": "a: 1"}))


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
