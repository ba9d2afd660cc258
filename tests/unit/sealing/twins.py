"""Runs a test on the engine of a content key and on its twin."""

import pytest

from gateway.runtime.native import engines

needs_engine = pytest.mark.skipif(
    not hasattr(engines, "ContentKey"), reason="the engines of native/ are not built here"
)
both_twins = pytest.mark.parametrize(
    "native", [pytest.param(None, id="python"), pytest.param(engines, id="rust", marks=needs_engine)]
)
