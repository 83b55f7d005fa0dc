"""`python -m tests.fuzzing LAYER --seconds N`: examples of a layer's properties until the time is over, or one does not hold.

Layers are `policy`, `arguments` and `gateway`. Each round has a seed of its own, which is printed: `--seed N` tries it again.
"""

from __future__ import annotations

import argparse
import random
import time
from importlib import import_module

LAYERS = ("policy", "arguments", "gateway")
A_ROUND = 200


def main() -> None:
    """Run one layer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("layer", choices=LAYERS)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--seed", type=int)
    arguments = parser.parse_args()
    began, rounds = time.monotonic(), 0
    with import_module(f"tests.fuzzing.{arguments.layer}").properties() as properties:
        while rounds == 0 or time.monotonic() - began < arguments.seconds:
            seed = random.getrandbits(64) if arguments.seed is None else arguments.seed
            for each in properties:
                print(f"{time.monotonic() - began:8.0f} s  seed {seed}  {each.holds.__name__}", flush=True)
                each.tried(A_ROUND, seed)
            rounds += 1
    took = time.monotonic() - began
    print(f"{arguments.layer}: {rounds} rounds of {A_ROUND} examples of {len(properties)} properties in {took:.0f} s")


if __name__ == "__main__":
    main()
