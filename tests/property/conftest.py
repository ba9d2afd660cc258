"""Properties are many examples: a minute on a machine that is slow or shared is no hang."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent
TIMEOUT_S = 1_800
"""Twenty times what the longest took while others used both cores too."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.timeout(TIMEOUT_S))
