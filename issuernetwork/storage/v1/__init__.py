"""Private journal records. Not part of the SDK's promise: import `issuernetwork.v1` instead."""
