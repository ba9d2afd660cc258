"""The sample policy with what documents may say of a stream: signatures, content keys, profile A."""

from gateway.server.policy import read_policy
from tests.kit.installation import SAMPLE_POLICY

SIGNED_WITH = {
    "northgate-bank": "RS256",
    "harbor-federal": "EdDSA",
    "meridian-cards": "PS256",
    "atlas-processing": "ES256",
}
"""An algorithm for each recipient: every one that there is."""

FRESH, CLEAR = "northgate-bank", "merchant-notes"

PROGRAM = """
program: merchant-notes
kind: ahead
purpose: fraud_authorization
fields: [mcc, merchant_country]
tiers: {basic: [mcc], enhanced: [mcc, merchant_country]}
transports: [ssf]
state: active
ramp_percent: 100
holdout_percent: 0
salt_version: "2026-1"
"""
ENROLMENT = """
enrolment_id: northgate-bank-merchant-notes
issuer_id: northgate-bank
program: merchant-notes
contract_id: northgate-bank-2026-1
legal_basis: legitimate_interest
controller_role: independent_controller
valid_from: 2025-01-01
valid_until: 2035-01-01
attestation_expires: 2035-01-01
regions: [US]
fields: [mcc, merchant_country]
transports: [ssf]
state: active
profile: A
"""


def policy() -> dict[str, str]:
    """The sample policy, an algorithm for each recipient, and a program under profile A."""
    files = dict(read_policy(SAMPLE_POLICY))
    for recipient_id, algorithm in SIGNED_WITH.items():
        files[f"recipients/{recipient_id}.yaml"] += f"signing_algorithm: {algorithm}\n"
    files[f"recipients/{FRESH}.yaml"] += "content_key: fresh\n"
    files["programs/merchant-notes.yaml"] = PROGRAM
    files["enrolments/northgate-bank-merchant-notes.yaml"] = ENROLMENT
    # The sample's Atlas has no stream of its own.
    harbor = files["enrolments/harbor-federal-enhanced-data.yaml"]
    summit = harbor.replace("harbor-federal", "summit-credit-union")
    files["enrolments/summit-credit-union-enhanced-data.yaml"] = summit
    return files
