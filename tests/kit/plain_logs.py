"""Logs of a module on standard output, whatever a process has configured before."""

from types import ModuleType

import pytest
import structlog


def plain_logs(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """For one test: `module._log` as it is before any configuration."""
    logger = structlog.wrap_logger(
        structlog.PrintLogger(), processors=[structlog.processors.LogfmtRenderer(key_order=["event"])]
    )
    monkeypatch.setattr(module, "_log", logger)
