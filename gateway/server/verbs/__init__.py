"""What operators do, once: the `ein` commands and the gRPC services call these, after who acts is known."""
