"""Options that several commands share."""

from pathlib import Path

import click

config_option = click.option(
    "--config",
    "config_path",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("ein.yaml"),
    show_default=True,
    help="Settings file.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object for machines.")
