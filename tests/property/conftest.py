"""Properties are many examples: a minute on a machine that is slow or shared is no hang."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from gateway.sharing import admit

HERE = Path(__file__).parent
TIMEOUT_S = 1_800
"""Twenty times what the longest took while others used both cores too."""

_READER = cache(admit.native_reader)


@pytest.fixture(autouse=True, scope="module")
def one_reader() -> Iterator[None]:
    """A reader keeps nothing of what it has read, and its tables are most of making a gateway: examples make
    two each, and share one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(admit, "native_reader", _READER)
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.timeout(TIMEOUT_S))
