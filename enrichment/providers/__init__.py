"""One small file a family of signals."""
