"""chiasm evaluate: how well a model swaps, and whether it shortcuts."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from chiasm.config import Config, ConfigError, to_dict

HELP = "how well a model swaps, and whether it shortcuts"


def parser(argv: Sequence[str]) -> ArgumentParser:
    """What may be given."""
    parser = ArgumentParser(description="Measure how well a model swaps, what its codes leak, whether it shortcuts.")
    parser.add_argument("model", type=Path, metavar="MODEL", help="a run or its model folder")
    parser.add_argument(
        "source",
        nargs="?",
        metavar="DATA",
        help="as for fit, instead of the run's images; which of these a model has seen is known for its own run only",
    )
    parser.add_argument("--part", choices=["test", "val"], default="test", help="val to choose, test to report")
    parser.add_argument("--num", type=int, default=1000, help="number of mixes")
    parser.add_argument("--seed", type=int, default=0, help="of all sampling, probes and classifiers")
    parser.add_argument("-o", "--output", type=Path | None, default=None, help="instead of MODEL/results.json")
    return parser


def run(options: Namespace) -> None:
    """Measure, write the results, print them as a table."""
    if options.num < 1:
        raise ConfigError(f"--num: got {options.num}; give a positive number of mixes.")
    from chiasm.checkpoint import load_model
    from chiasm.data import load_split, make_split, open_data
    from chiasm.evaluation.evaluate import evaluate, save_results
    from chiasm.evaluation.table import table
    from chiasm.runs import RunFolder

    model = load_model(options.model)
    folder = next((p for p in (options.model, options.model.parent) if (p / "config.yaml").is_file()), None)
    run, config = RunFolder.open(folder) if folder is not None else (None, Config())
    if run is None and options.source is None:
        raise ConfigError(f"{options.model} lies in no run, so that its images are not known; give DATA too.")
    data = config.data if options.source is None else dataclasses.replace(config.data, source=options.source)
    images = open_data(data, model.config.side_px)
    split = load_split(run.split, images) if run is not None and data == config.data else make_split(images, data)
    noise_b = config.loss.noise_b if run is not None else 0.0
    results = evaluate(model, images, split, seed=options.seed, num=options.num, noise_b=noise_b, part=options.part)
    results["about"] |= {"model": str(options.model), "data": to_dict(data)}
    path = options.output or (options.model if run is None else run.path) / "results.json"
    save_results(results, path)
    print(table(results))
    print(f"\nresults: {path}")
