"""chiasm sweep: train over lists or ranges of any settings."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from jsonargparse import Namespace

from chiasm.cli._parser import Parser, runs_folder
from chiasm.cli.fit import BUDGETS, STOPPED, refuse_two_budgets
from chiasm.config import ConfigError

HELP = "train over lists or ranges of any settings"


def parser(argv: Sequence[str]) -> Parser:
    """What may be given."""
    parser = Parser(
        usage="chiasm sweep [DATA] [--KEY V1 V2 ...] [--KEY LO..HI[:log]] [options]",
        description="Train over lists or ranges of any settings of chiasm fit, such as --loss.gamma 0.01 0.4 1 1.5 2. "
        "The same command, once more or on another machine that sees the folder, joins the sweep and goes on with it.",
        epilog="All settings that KEY can be: chiasm fit --help-all",
    )
    parser.add_argument("source", nargs="?", metavar="DATA", help="as for fit")
    parser.add_argument("--preset", default="compact", help="the settings to start from, as for fit")
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[0], metavar="SEED", help="every point is trained once for each"
    )
    parser.add_argument("--method", choices=["grid", "random", "tpe"], default="grid", help="how points are chosen")
    parser.add_argument("--trials", type=int, default=20, metavar="N", help="how many points random and tpe sample")
    parser.add_argument("--name", type=str | None, default=None, help="of the sweep; by default made of its keys")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs"), metavar="FOLDER", help="folder of all runs and sweeps"
    )
    parser.add_argument("--storage", type=str | None, default=None, help="path or database URL of the optuna study")
    parser.add_argument("--resume", type=bool, default=True, help="whether to join a sweep of that name")
    for budget, told in BUDGETS.items():
        flag = "--" + budget.replace("_", "-")
        parser.add_argument(flag, nargs="+", default=[], metavar="N", help=f"budget of each training in {told}")
    refuse_two_budgets({word.partition("=")[0] for word in argv if argv[:1] == ["sweep"]})
    # Any setting may be swept, so that its values are read as text here and checked by name and type later.
    for flag in dict.fromkeys(word.partition("=")[0] for word in argv if argv[:1] == ["sweep"]):
        if re.fullmatch(r"--\w+(\.\w+)+", flag):
            parser.add_argument(flag, nargs="+", type=str, default=[])
    return parser


def run(options: Namespace) -> int:
    """Work on the sweep until all of it is done; returns the exit status."""
    if options.trials < 1:
        raise ConfigError(f"--trials: got {options.trials}; give a positive number of points.")
    runs = runs_folder(options.runs)
    given = {key: values for key, values in options.items() if "." in key}
    budgets = {f"train.{budget}": options[budget] for budget in BUDGETS if options[budget]}
    given |= budgets
    if importlib.util.find_spec("optuna") is None:
        raise ConfigError("sweep: optuna is not installed here; pip install 'chiasm[sweep]'")
    from chiasm.overrides import changed
    from chiasm.presets import from_preset
    from chiasm.runs import check_name
    from chiasm.sweep.space import Space
    from chiasm.sweep.sweep import print_summary, sweep

    if options.name is not None:
        check_name(options.name)
    base = from_preset(options.preset, {} if options.source is None else {"data": {"source": options.source}})
    if budgets:  # in the place of the preset's; those given have their values from the space
        base = changed(base, {f"train.{budget}": 1 if options[budget] else None for budget in BUDGETS})
    space = Space.parse(base, given)
    for seed in options.seeds:
        space.config({}, seed)  # refused here already, rather than trial by trial
    result = sweep(
        space,
        preset=options.preset,
        seeds=options.seeds,
        method=options.method,
        num_points=options.trials,
        name=options.name,
        runs=runs,
        storage=options.storage,
        resume=options.resume,
        progress_bar=sys.stderr.isatty(),
    )
    print_summary(result)
    return STOPPED if result.interrupted else 0
