"""`python -m bench [--only NAME] [--quick]`: one JSON line a benchmark."""

import argparse
from collections.abc import Callable

from bench.enrich import enrich
from bench.journal import journal_append
from bench.key_stores import sign_pkcs11
from bench.lookup import lookup
from bench.policy import compile_table, release_table
from bench.protect import protect_profile_b
from bench.result import FULL, QUICK, Scale

BENCHMARKS: dict[str, Callable[[Scale], str]] = {
    "enrich_unary": lambda scale: enrich("enrich_unary", "native", scale),
    "enrich_unary_grpcio": lambda scale: enrich("enrich_unary_grpcio", "grpcio", scale),
    "enrich_batch32": lambda scale: enrich("enrich_batch32", "native", scale, way="batch"),
    "enrich_stream4": lambda scale: enrich("enrich_stream4", "native", scale, way="stream"),
    "journal_append": lambda scale: journal_append(scale.runs),
    "lookup": lookup,
    "protect_profile_b": protect_profile_b,
    "sign_pkcs11": sign_pkcs11,
    "release_table": release_table,
    "compile_table": compile_table,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description="One JSON line a benchmark.")
    parser.add_argument("--only", choices=sorted(BENCHMARKS), help="run this one alone")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs: ratios are rougher")
    options = parser.parse_args()
    only, scale = options.only, QUICK if options.quick else FULL
    for name, run in BENCHMARKS.items():
        if only in (None, name):
            print(run(scale), flush=True)


if __name__ == "__main__":
    main()
