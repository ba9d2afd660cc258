"""Options that several commands share, and how those are read that are no plain words."""

import re
from pathlib import Path
from typing import Final

import click

from gateway.sealing.keys import KeyRefused

config_option = click.option(
    "--config",
    "config_path",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("ein.yaml"),
    show_default=True,
    help="Settings file.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object for machines.")

_UNITS_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION: Final = re.compile(r"([0-9]{1,6})([smhd])")


def duration_ms(option: str, text: str) -> int:
    """Of a whole number and one of s, m, h, d. Raises KeyRefused, which names the option."""
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise KeyRefused(f"{option}: a whole number and one of s, m, h, d: 90s, 24h, 7d")
    return int(found[1]) * _UNITS_MS[found[2]]
