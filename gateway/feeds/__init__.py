"""Delivery to recipients: fan-out, outbox, one thin file a transport. Pure but for its ports."""
