"""`ein replay`: payments of a Parquet file through the real surface, issuers simulated."""

from pathlib import Path

import click

from gateway.server.cli.options import json_option


@click.command("replay")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--limit", type=click.IntRange(1), help="Only the first so many payments.")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of what the file does not hold.")
@click.option(
    "--mapping",
    "mapping_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="YAML of our field to the file's column; see docs/reference/replay.md.",
)
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep state, lists and logs in this folder (it must not hold a state yet).",
)
@click.option(
    "--policy", type=click.Path(file_okay=False, path_type=Path), help="Other policy than the sample."
)
@json_option
def replay_command(
    file: Path,
    limit: int | None,
    seed: int,
    mapping_path: Path | None,
    keep: Path | None,
    policy: Path | None,
    as_json: bool,
) -> None:
    """Send the payments of FILE (Parquet) through a fresh installation, with simulated issuers.

    Fraud is reported at the times that the file says. Exit code 1 when the account does not add up.
    """
    import yaml

    from gateway.server.cli.demo import run_simulation
    from simulator.payments import TraceNumbers
    from simulator.replay import MappingInvalid, ReplayStream

    mapping = yaml.safe_load(mapping_path.read_text(encoding="utf-8")) if mapping_path else {}
    if not isinstance(mapping, dict) or not all(isinstance(name, str) for name in mapping.values()):
        raise click.BadParameter("expected a mapping of field to column", param_hint="--mapping")
    traces = TraceNumbers()
    try:
        stream = ReplayStream(file, traces, seed=seed, limit=limit, mapping=mapping)
    except MappingInvalid as refused:
        raise click.BadParameter(str(refused), param_hint="--mapping") from None
    summary = run_simulation(
        stream, stream.payments, traces, seed=seed, keep=keep, policy=policy, as_json=as_json, title="replay"
    )
    raise click.exceptions.Exit(0 if summary["adds_up"] else 1)
