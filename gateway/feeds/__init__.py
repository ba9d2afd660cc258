"""Delivery to recipients: fan-out, sign once, poll, look-up. Cores do no I/O; ports say what they need."""
