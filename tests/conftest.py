"""Shared by all tests."""

import os

from hypothesis import HealthCheck, settings

# A shared two-core machine is slow at times: deadlines of examples would only measure the neighbours.
settings.register_profile(
    "default", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("prove", parent=settings.get_profile("default"), max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
