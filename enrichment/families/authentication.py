"""Results of checks that were made of the cardholder. The values that were checked never reach us."""

from enrichment import quality
from enrichment.families import Values, bit
from enrichment.fields import FIELD_BY_NAME
from enrichment.payment import Payment
from enrichment.quality import Poor

ECI = FIELD_BY_NAME["eci"].number
TRANS_STATUS = FIELD_BY_NAME["trans_status"].number
DS_TRANS_ID = FIELD_BY_NAME["ds_trans_id"].number
EXEMPTION = FIELD_BY_NAME["sca_exemption"].number
AVS = FIELD_BY_NAME["avs_result"].number
CVV = FIELD_BY_NAME["cvv_result"].number

TRANS_STATUSES = ("", "Y", "N", "U", "A", "C", "D", "R", "I")
"""By number of `v1.TransStatus` (EMV 3-D Secure, transStatus)."""


VALUES: Values = {
    ECI: "eci",
    TRANS_STATUS: lambda known: TRANS_STATUSES[known.payment.trans_status],
    DS_TRANS_ID: lambda known: known.payment.ds_trans_id.lower(),
    EXEMPTION: "exemption",
    AVS: lambda known: known.payment.avs_result.upper(),
    CVV: lambda known: known.payment.cvv_result.upper(),
}

_ECI, _TRANS_STATUS, _DS_TRANS_ID = bit(ECI), bit(TRANS_STATUS), bit(DS_TRANS_ID)
_EXEMPTION, _AVS, _CVV = bit(EXEMPTION), bit(AVS), bit(CVV)


def present(payment: Payment, poor: list[Poor]) -> int:
    """Mask of the group auth, and of the directory server's transaction id."""
    mask = 0
    if payment.eci:
        mask |= _ECI
        if not quality.is_eci(payment.eci):
            poor.append((ECI, quality.UNKNOWN_CODE))
    if payment.trans_status:
        mask |= _TRANS_STATUS
    if payment.ds_trans_id:
        mask |= _DS_TRANS_ID
        if quality.is_placeholder(payment.ds_trans_id):
            poor.append((DS_TRANS_ID, quality.PLACEHOLDER))
    if payment.exemption:
        mask |= _EXEMPTION
        if quality.is_placeholder(payment.exemption):
            poor.append((EXEMPTION, quality.PLACEHOLDER))
    if payment.avs_result:
        mask |= _AVS
    if payment.cvv_result:
        mask |= _CVV
    return mask
