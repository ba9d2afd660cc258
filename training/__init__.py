"""Trains the models that the gateway serves. Nothing that serves imports it; it ships in no wheel."""
