"""Tries bad inputs, prints what came of them, and exits with 1 unless each was refused or worked.

`python -m tests.campaign [--num 3] [--every 1] [--seed 0] [--family NAME] [--verbose]`

All in this process; torch takes a second to start. A wrong case is repeated by its family and seed.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from chiasm.presets import tiny
from chiasm.training import fit
from tests.campaign import commands, folders, pictures, settings, shards, tables
from tests.campaign.case import FINE, attempt

OUTCOMES = ("works", "refused", "traceback", "hung", "wrong", "unclear")
MEMORY = 12 * 2**30


def main() -> int:
    """All cases, or every so many of them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--num", type=int, default=3, help="random cases of a kind")
    parser.add_argument("--every", type=int, default=1, help="try every so many of the cases")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--family")
    parser.add_argument("--verbose", action="store_true", help="what was said of every case")
    options = parser.parse_args()
    torch.set_num_threads(1)
    # A file that fills the memory ends in a MemoryError of its own, not of the machine.
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    modules = (settings, pictures, tables, shards, folders, commands)
    every = [case for module in modules for case in module.cases(options.num, options.seed)]
    chosen = [case for case in every if options.family in (None, case.family)][:: options.every]
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    with TemporaryDirectory() as name:
        home = Path(name)
        os.environ["CHIASM_CACHE"] = str(home / "cache")
        run = fit(tiny(), name="run", runs=home / "runs", progress_bar=False).run
        for i, case in enumerate(chosen):
            begun = time.perf_counter()
            outcome, told = attempt(case, home / f"case{i}", run)
            counts[case.family][outcome] += 1
            seconds = time.perf_counter() - begun
            if outcome not in FINE or options.verbose or seconds > 20:
                print(f"{outcome} ({seconds:.1f} s): {case.family}: {case.name}\n    {told}", flush=True)
    print(f"{'':16}" + "".join(f"{outcome:>10}" for outcome in OUTCOMES))
    counts["all"] = sum(counts.values(), Counter())
    for family, of_family in counts.items():
        print(f"{family:16}" + "".join(f"{of_family[outcome]:10}" for outcome in OUTCOMES))
    return int(any(counts["all"][outcome] for outcome in OUTCOMES if outcome not in FINE))


if __name__ == "__main__":
    sys.exit(main())
