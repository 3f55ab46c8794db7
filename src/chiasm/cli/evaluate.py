"""chiasm evaluate: how well a model swaps, and whether it shortcuts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jsonargparse import Namespace

from chiasm.cli._parser import Parser, output_file

HELP = "how well a model swaps, and whether it shortcuts"


def parser(argv: Sequence[str]) -> Parser:
    """What may be given."""
    parser = Parser(
        usage="chiasm evaluate MODEL [DATA] [options]",
        description="Measure how well a model swaps, what its codes leak, whether it shortcuts.",
    )
    parser.add_argument("model", type=Path, metavar="MODEL", help="a run or its model folder")
    parser.add_argument(
        "source",
        nargs="?",
        metavar="DATA",
        help="as for fit, instead of the run's images; those that the run was trained on are left out",
    )
    parser.add_argument("--part", choices=["test", "val"], default="test", help="val to choose, test to report")
    parser.add_argument("--num", type=int, default=1000, metavar="N", help="number of mixes")
    parser.add_argument("--seed", type=int, default=0, help="of all sampling, probes and classifiers")
    parser.add_argument("--metrics", nargs="+", metavar="NAME", default=None, help="those to measure; by default all")
    parser.add_argument(
        "-o", "--output", type=Path | None, default=None, metavar="FILE", help="instead of MODEL/results.json"
    )
    return parser


def run(options: Namespace) -> None:
    """Measure, write the results, print them as a table."""
    output = None if options.output is None else output_file(options.output, ".json")
    from chiasm.evaluation import evaluate_run, table
    from chiasm.evaluation.evaluate_run import UNKNOWN

    results, path = evaluate_run(
        options.model,
        options.source,
        part=options.part,
        seed=options.seed,
        num=options.num,
        metrics=options.metrics,
        output=output,
    )
    print(table(results))
    trained_on = results["about"].get("trained_on")
    if trained_on == UNKNOWN:
        print(f"\n{options.model} lies in no run: what it was trained on is not known, and may be among these images")
    elif trained_on:
        print(f"\nleft out: {trained_on} images that the run was trained on")
    elif trained_on == 0:
        num = results["about"]["num_images"]["train"]
        print(
            f"\nthe run was trained on none of these images; {num} of them taught classifiers and probes here instead"
        )
    print(f"\nresults: {path}")
