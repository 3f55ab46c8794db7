"""The command line: a few lines for each command; everything heavy is imported inside."""

from __future__ import annotations

import argparse
import dataclasses
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
    parser = ArgumentParser(prog="chiasm", description="Split pictures into what they show and how; mix the two.")
    commands = parser.add_subcommands(dest="command")
    commands.add_subcommand("fit", _fit_parser(argv), help="train a model on pictures")
    commands.add_subcommand("mix", _mix_parser(), help="put the A of one picture together with the B of another")
    commands.add_subcommand("evaluate", _evaluate_parser(), help="how well a model swaps, and whether it cheats")
    commands.add_subcommand("info", _info_parser(), help="what a trained model is")
    commands.add_subcommand("data", _data_parser(), help="what a collection of pictures holds")
    return parser


def _fit_parser(argv: Sequence[str]) -> ArgumentParser:
    parser = ArgumentParser(
        usage="chiasm fit [DATA] [options]",
        description="Train a model on pictures; prints the paths of its figures.",
    )
    parser.add_argument("source", nargs="?", metavar="DATA", help="as --data.source: a folder of pictures, ...")
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
        start = _start(argv[1:])
        parser.set_defaults(to_dict(start))
    return parser


def _start(argv: Sequence[str]) -> Config:
    """The settings to start from: those of the run to be resumed, or else the preset's."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--preset", default="compact")
    first.add_argument("--resume")
    chosen, _ = first.parse_known_args(argv)
    if chosen.resume is not None:
        from chiasm.training.run import RunFolder

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
    parser = ArgumentParser(description="Put the A of one picture together with the B of another.")
    parser.add_argument("model", type=Path, metavar="MODEL", help="a run or its model folder")
    parser.add_argument(
        "pictures", type=Path, nargs="*", metavar="A.jpg B.jpg", help="B from the last, A from the others"
    )
    parser.add_argument("--a", type=Path, nargs="+", default=[], help="pictures for the rows of a whole matrix")
    parser.add_argument("--b", type=Path, nargs="+", default=[], help="pictures for its columns")
    parser.add_argument("-o", "--output", type=Path, default=Path("mix.png"), help="the picture to write")
    return parser


def _mix(options: Namespace) -> None:
    pictures = options.pictures
    if (len(pictures) < 2) == (not options.a or not options.b):
        raise ConfigError("mix: give two pictures (A.jpg B.jpg), or --a A1.jpg A2.jpg ... --b B1.jpg B2.jpg ...")
    from chiasm.mixing import Mixer

    mixer = Mixer.load(options.model)
    mixed = mixer.mix(pictures[:-1], pictures[-1]) if pictures else mixer.sheet(options.a, options.b)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    mixed.save(options.output)
    print(options.output)


def _evaluate_parser() -> ArgumentParser:
    parser = ArgumentParser(description="Measure how well a model swaps, what its codes leak, whether it cheats.")
    parser.add_argument("model", type=Path, metavar="MODEL", help="a run or its model folder")
    parser.add_argument(
        "source",
        nargs="?",
        metavar="DATA",
        help="as for fit, instead of the run's pictures; which of these a model has seen is known for its own run only",
    )
    parser.add_argument("--part", choices=["test", "val"], default="test", help="val to choose, test to report")
    parser.add_argument("--num", type=int, default=1000, help="number of mixes")
    parser.add_argument("--seed", type=int, default=0, help="of all draws, probes and classifiers")
    parser.add_argument("-o", "--output", type=Path | None, default=None, help="instead of MODEL/results.json")
    return parser


def _evaluate(options: Namespace) -> None:
    if options.num < 1:
        raise ConfigError(f"--num: got {options.num}; give a positive number of mixes.")
    from chiasm.checkpoint import load_model
    from chiasm.data import load_split, make_split, open_data
    from chiasm.evaluation.evaluate import evaluate, save_results
    from chiasm.evaluation.table import table
    from chiasm.training.run import RunFolder

    model = load_model(options.model)
    folder = next((p for p in (options.model, options.model.parent) if (p / "config.yaml").is_file()), None)
    run, config = RunFolder.open(folder) if folder is not None else (None, Config())
    if run is None and options.source is None:
        raise ConfigError(f"{options.model} lies in no run, so that its pictures are not known; give DATA too.")
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


def _info_parser() -> ArgumentParser:
    parser = ArgumentParser(description="What a trained model is: codes, networks, sizes.")
    parser.add_argument("model", type=Path, metavar="MODEL", help="a run or its model folder")
    return parser


def _info(options: Namespace) -> None:
    from chiasm.checkpoint import describe_model, load_model

    print(describe_model(load_model(options.model)))


def _data_parser() -> ArgumentParser:
    parser = ArgumentParser(description="What a collection of pictures holds, and what of it cannot be used.")
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
    "info": _info,
    "data": _data,
}

if __name__ == "__main__":
    sys.exit(main())
