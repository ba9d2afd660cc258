"""`python -m training.simulate --seed 101 --payments 60000 --out X.parquet`: payments to train on."""

import argparse
from pathlib import Path

from simulator.parquet import write_payments
from simulator.payments import PaymentStream, TraceNumbers


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m training.simulate", description=__doc__)
    parser.add_argument("--seed", type=int, default=101, help="another than the demo's, which is 1")
    parser.add_argument("--payments", type=int, default=60_000)
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args()
    stream = PaymentStream(chosen.seed, chosen.payments, TraceNumbers())
    print(f"{write_payments(chosen.out, chosen.seed, stream):,} payments in {chosen.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
