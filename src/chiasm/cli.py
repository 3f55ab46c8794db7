"""The command line: a few lines for each command; everything heavy is imported inside."""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace, set_parsing_settings

from chiasm.config import Config, ConfigError, DataConfig, GanConfig, LossConfig, ModelConfig, TrainConfig, to_dict
from chiasm.presets import PRESETS

SECTIONS = {"data": DataConfig, "model": ModelConfig, "loss": LossConfig, "gan": GanConfig, "train": TrainConfig}
BUDGETS = ("epochs", "steps", "max_minutes")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; a user's mistake ends in one line of explanation and the exit status 2."""
    argv = list(sys.argv[1:] if arguments is None else arguments)
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    try:
        parser = _parser(argv)
        options = parser.instantiate(parser.parse_args(argv))
        command: Callable[[Namespace], None] = COMMANDS[options.command]
        command(options[options.command])
    except (ValueError, FloatingPointError) as error:
        if type(error) is ValueError:
            raise
        print(f"chiasm: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("chiasm: stopped", file=sys.stderr)
        return 130
    return 0


def _parser(argv: Sequence[str]) -> ArgumentParser:
    parser = ArgumentParser(prog="chiasm", description="Split images into what they show and how; mix the two.")
    commands = parser.add_subcommands(dest="command")
    commands.add_subcommand("fit", _fit_parser(argv), help="train a model on images")
    commands.add_subcommand("mix", _mix_parser(), help="put the A of one image together with the B of another")
    commands.add_subcommand("evaluate", _evaluate_parser(), help="how well a model swaps, and whether it shortcuts")
    commands.add_subcommand("sweep", _sweep_parser(argv), help="train over lists or ranges of any settings")
    commands.add_subcommand("report", _report_parser(), help="runs and sweeps as one page")
    commands.add_subcommand("info", _info_parser(), help="what a trained model is")
    commands.add_subcommand("data", _data_parser(), help="what a collection of images holds")
    return parser


def _fit_parser(argv: Sequence[str]) -> ArgumentParser:
    parser = ArgumentParser(
        usage="chiasm fit [DATA] [options]",
        description="Train a model on images; prints the paths of its figures.",
    )
    parser.add_argument("source", nargs="?", metavar="DATA", help="as --data.source: a folder of images, ...")
    parser.add_argument("--preset", default="compact", choices=list(PRESETS), help="the settings to start from")
    parser.add_argument("--config", action="config", help="a YAML file of settings, such as a run's config.yaml")
    parser.add_argument("--name", type=str | None, default=None, help="name of the run")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of all runs")
    parser.add_argument("--resume", type=Path | None, default=None, help="folder of a run to go on with")
    parser.add_argument("--seed", type=int | None, default=None, help="as --train.seed")
    for budget in BUDGETS:
        kind = int if budget == "steps" else float
        flag = "--" + budget.replace("_", "-")
        parser.add_argument(flag, type=kind | None, default=None, help="the budget, instead of the preset's")
    for name, section in SECTIONS.items():
        parser.add_argument(f"--{name}", type=section)
    if argv[:1] == ["fit"]:
        _refuse_two_spellings(argv)
        start = _start(argv[1:])
        parser.set_defaults(to_dict(start))
    return parser


def _refuse_two_spellings(argv: Sequence[str]) -> None:
    """--steps and the like replace every other budget, so that a --train.max_minutes beside them would be lost."""
    given = {word.partition("=")[0] for word in argv}
    short = sorted(given & {"--" + budget.replace("_", "-") for budget in BUDGETS})
    long = sorted(given & {f"--train.{budget}" for budget in BUDGETS})
    if short and long:
        instead = long[0].replace("train.", "").replace("_", "-")
        raise ConfigError(f"{long[0]}: {short[0]} replaces every other budget; give {instead} beside it.")


def _start(argv: Sequence[str]) -> Config:
    """The settings to start from: those of the run to be resumed, or else the preset's."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--preset", default="compact")
    first.add_argument("--resume")
    chosen, _ = first.parse_known_args(argv)
    if chosen.resume is not None:
        from chiasm.runs import RunFolder

        return RunFolder.open(Path(chosen.resume))[1]
    if chosen.preset not in PRESETS:
        raise ConfigError(f"--preset: got {chosen.preset!r}; give one of {', '.join(PRESETS)}.")
    return PRESETS[chosen.preset]()


def _fit(options: Namespace) -> None:
    config = _config(options)
    from chiasm.training import fit
    from chiasm.training.summary import summary

    result = fit(config, name=options.name, runs=options.runs, resume=options.resume)
    print(summary(result))


def _config(options: Namespace) -> Config:
    """The whole configuration that the options of `fit` ask for."""
    config = Config(**{name: options[name] for name in SECTIONS})
    train: dict[str, Any] = {budget: options[budget] for budget in BUDGETS}
    train = train if any(v is not None for v in train.values()) else {}
    if options.seed is not None:
        train["seed"] = options.seed
    config = dataclasses.replace(config, train=dataclasses.replace(config.train, **train))
    if options.source is None:
        return config
    return dataclasses.replace(config, data=dataclasses.replace(config.data, source=options.source))


def _mix_parser() -> ArgumentParser:
    parser = ArgumentParser(description="Put the A of one image together with the B of another.")
    parser.add_argument("model", type=Path, metavar="MODEL", help="a run or its model folder")
    parser.add_argument(
        "images", type=Path, nargs="*", metavar="A.jpg B.jpg", help="B from the last, A from the others"
    )
    parser.add_argument("--a", type=Path, nargs="+", default=[], help="images for the rows of a whole matrix")
    parser.add_argument("--b", type=Path, nargs="+", default=[], help="images for its columns")
    parser.add_argument("-o", "--output", type=Path, default=Path("mix.png"), help="the image to write")
    return parser


def _mix(options: Namespace) -> None:
    images = options.images
    if (len(images) < 2) == (not options.a or not options.b):
        raise ConfigError("mix: give two images (A.jpg B.jpg), or --a A1.jpg A2.jpg ... --b B1.jpg B2.jpg ...")
    from chiasm.mixing import Mixer

    mixer = Mixer.load(options.model)
    mixed = mixer.mix(images[:-1], images[-1]) if images else mixer.sheet(options.a, options.b)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    mixed.save(options.output)
    print(options.output)


def _evaluate_parser() -> ArgumentParser:
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
    parser.add_argument("--metrics", nargs="+", metavar="NAME", default=None, help="those to measure; by default all")
    parser.add_argument("-o", "--output", type=Path | None, default=None, help="instead of MODEL/results.json")
    return parser


def _evaluate(options: Namespace) -> None:
    from chiasm.evaluation import evaluate_run, table

    results, path = evaluate_run(
        options.model,
        options.source,
        part=options.part,
        seed=options.seed,
        num=options.num,
        metrics=options.metrics,
        output=options.output,
    )
    print(table(results))
    print(f"\nresults: {path}")


def _sweep_parser(argv: Sequence[str]) -> ArgumentParser:
    parser = ArgumentParser(
        usage="chiasm sweep [DATA] [--KEY V1 V2 ...] [--KEY LO..HI[:log]] [options]",
        description="Train over lists or ranges of any settings of chiasm fit, such as --loss.gamma 0.01 0.4 1 1.5 2. "
        "The same command, once more or on another machine that sees the folder, joins the sweep and goes on with it.",
    )
    parser.add_argument("source", nargs="?", metavar="DATA", help="as for fit")
    parser.add_argument("--preset", default="compact", help="the settings to start from, as for fit")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="every point is trained once for each")
    parser.add_argument("--method", choices=["grid", "random", "tpe"], default="grid", help="how points are chosen")
    parser.add_argument("--trials", type=int, default=20, help="how many points random and tpe sample")
    parser.add_argument("--name", type=str | None, default=None, help="of the sweep; by default made of its keys")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of all runs and sweeps")
    parser.add_argument("--storage", type=str | None, default=None, help="path or database URL of the optuna study")
    parser.add_argument("--resume", type=bool, default=True, help="whether to join a sweep of that name")
    for budget in BUDGETS:
        parser.add_argument("--" + budget.replace("_", "-"), nargs="+", default=[], help=f"as --train.{budget}")
    # Any setting may be swept, so that its values are read as text here and checked by name and type later.
    for flag in dict.fromkeys(word.partition("=")[0] for word in argv if argv[:1] == ["sweep"]):
        if re.fullmatch(r"--\w+(\.\w+)+", flag):
            parser.add_argument(flag, nargs="+", type=str, default=[])
    return parser


def _sweep(options: Namespace) -> None:
    if options.trials < 1:
        raise ConfigError(f"--trials: got {options.trials}; give a positive number of points.")
    given = {key: values for key, values in options.items() if "." in key}
    given |= {f"train.{budget}": options[budget] for budget in BUDGETS if options[budget]}
    if importlib.util.find_spec("optuna") is None:
        raise ConfigError("sweep: optuna is not installed here; pip install 'chiasm[sweep]'")
    from chiasm.presets import from_preset
    from chiasm.sweep.space import Space
    from chiasm.sweep.sweep import print_summary, sweep

    base = from_preset(options.preset, {} if options.source is None else {"data": {"source": options.source}})
    result = sweep(
        Space.parse(base, given),
        preset=options.preset,
        seeds=options.seeds,
        method=options.method,
        num_points=options.trials,
        name=options.name,
        runs=options.runs,
        storage=options.storage,
        resume=options.resume,
        progress_bar=sys.stderr.isatty(),
    )
    print_summary(result)


def _report_parser() -> ArgumentParser:
    parser = ArgumentParser(description="Runs and sweeps as one page that needs no network, and its figures beside it.")
    parser.add_argument("paths", type=Path, nargs="+", metavar="RUN_OR_SWEEP", help="folders of runs or sweeps")
    parser.add_argument("-o", "--output", type=Path, default=Path("report.html"), help="the page to write")
    return parser


def _report(options: Namespace) -> None:
    from chiasm.report import make_report

    for path in make_report(options.paths, options.output):
        print(path)


def _info_parser() -> ArgumentParser:
    parser = ArgumentParser(description="What a trained model is: codes, networks, sizes.")
    parser.add_argument("model", type=Path, metavar="MODEL", help="a run or its model folder")
    return parser


def _info(options: Namespace) -> None:
    from chiasm.checkpoint import describe_model, load_model

    print(describe_model(load_model(options.model)))


def _data_parser() -> ArgumentParser:
    parser = ArgumentParser(description="What a collection of images holds, and what of it cannot be used.")
    parser.add_argument("source", nargs="?", default="avatars", metavar="DATA", help="as for fit")
    parser.add_argument("--side-px", type=int, default=64, help="height and width to look at")
    parser.add_argument("-o", "--output", type=Path, default=Path("contact_sheet.png"), help="the contact sheet")
    return parser


def _data(options: Namespace) -> None:
    import numpy as np

    from chiasm.data import contact_sheet, describe, open_data

    images = open_data(DataConfig(source=options.source), options.side_px)
    print(describe(images))
    contact_sheet(images, np.arange(len(images)), 12).save(options.output)
    print(f"contact sheet: {options.output}")


COMMANDS: dict[str, Callable[[Namespace], None]] = {
    "fit": _fit,
    "mix": _mix,
    "evaluate": _evaluate,
    "sweep": _sweep,
    "report": _report,
    "info": _info,
    "data": _data,
}

if __name__ == "__main__":
    sys.exit(main())
