"""Signals of a payment: its fields, its velocity, its score, and which of them are fit to be shared."""

from enrichment.payment import Facts, Payment, Signals

__all__ = ["Facts", "Signals", "signals"]


def signals(payment: Payment, facts: Facts) -> Signals:
    """Everything known of the payment, by field number."""
    raise NotImplementedError
