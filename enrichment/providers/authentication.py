"""Results of checks that were made of the cardholder. The values that were checked never reach us."""

from enrichment import quality
from enrichment.fields import FIELD_BY_NAME
from enrichment.payment import JsonValue, Payment
from enrichment.quality import Poor

ECI = FIELD_BY_NAME["eci"].number
TRANS_STATUS = FIELD_BY_NAME["trans_status"].number
DS_TRANS_ID = FIELD_BY_NAME["ds_trans_id"].number
EXEMPTION = FIELD_BY_NAME["sca_exemption"].number
AVS = FIELD_BY_NAME["avs_result"].number
CVV = FIELD_BY_NAME["cvv_result"].number

TRANS_STATUSES = ("", "Y", "N", "U", "A", "C", "D", "R", "I")
"""By number of `v1.TransStatus` (EMV 3-D Secure, transStatus)."""


def provide(payment: Payment, values: dict[int, JsonValue], poor: list[Poor]) -> None:
    """Adds the group auth, and the directory server's transaction id."""
    if payment.eci:
        values[ECI] = payment.eci
    if payment.trans_status:
        values[TRANS_STATUS] = TRANS_STATUSES[payment.trans_status]
    if payment.ds_trans_id:
        values[DS_TRANS_ID] = payment.ds_trans_id.lower()
        if quality.is_placeholder(payment.ds_trans_id):
            poor.append((DS_TRANS_ID, quality.PLACEHOLDER))
    if payment.exemption:
        values[EXEMPTION] = payment.exemption
    if payment.avs_result:
        values[AVS] = payment.avs_result.upper()
    if payment.cvv_result:
        values[CVV] = payment.cvv_result.upper()
