"""Moved to `tests.kit.installation`."""

from tests.kit.installation import Installation as Installation
