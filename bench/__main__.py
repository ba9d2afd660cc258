"""`python -m bench [--only NAME]`: one JSON line a benchmark."""

import argparse
from collections.abc import Callable

from bench.enrich import enrich
from bench.journal import journal_append

BENCHMARKS: dict[str, Callable[[], str]] = {
    "enrich_unary": lambda: enrich("enrich_unary", "native"),
    "enrich_unary_grpcio": lambda: enrich("enrich_unary_grpcio", "grpcio"),
    "enrich_batch32": lambda: enrich("enrich_batch32", "native", batch=True),
    "journal_append": journal_append,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description="One JSON line a benchmark.")
    parser.add_argument("--only", choices=sorted(BENCHMARKS), help="run this one alone")
    only = parser.parse_args().only
    for name, run in BENCHMARKS.items():
        if only in (None, name):
            print(run(), flush=True)


if __name__ == "__main__":
    main()
