"""chiasm fit: train a model on images."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence, Set
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from chiasm.cli._parser import Parser, runs_folder
from chiasm.config import Config, ConfigError, DataConfig, GanConfig, LossConfig, ModelConfig, TrainConfig
from chiasm.overrides import changed, flatten, read_yaml, to_dict
from chiasm.presets import PRESETS, from_preset

HELP = "train a model on images"
SECTIONS = {"data": DataConfig, "model": ModelConfig, "loss": LossConfig, "gan": GanConfig, "train": TrainConfig}
STOPPED = 3
"""The exit status of what was stopped early, is saved and can go on."""
BUDGETS = {"epochs": "passes over the training images", "steps": "optimiser steps", "max_minutes": "minutes"}
COMMON = (
    "data.fit",
    "data.supervision",
    "data.a_ignores",
    "data.b_ignores",
    "data.held_out",
    "model.code_a",
    "model.code_b",
    "loss.noise_b",
    "loss.shift_b",
    "train.batch_size",
    "train.lr",
    "train.accelerator",
)
"""The settings that --help shows."""
WITHOUT_CLASSES = (
    "{source} shows no two images of one class, so this is --preset unlabelled: code A becomes what is left when an "
    "image is turned and mirrored, code B the turn and the side. Other changes: --data.a_ignores; or put each class "
    "into a subfolder of its own."
)
SETTINGS = tuple(flatten(to_dict(Config())))
LISTS = tuple(f"--{key}" for key, value in flatten(to_dict(Config())).items() if isinstance(value, list))
"""The flags that take several words."""


def parser(argv: Sequence[str]) -> Parser:
    """What may be given; --help shows the settings of COMMON, --help-all shows all."""
    parser = Parser(
        usage="chiasm fit [DATA] [options]",
        description="Train a model on images; prints the paths of its figures.",
        epilog="Every setting is a flag: chiasm fit --help-all. With --preset NAME both show that preset's values.",
    )
    parser.add_argument("source", nargs="?", metavar="DATA", help="a folder of images, or another source of README.md")
    parser.add_argument("--help-all", action="help", help="show every setting")
    _add_usual(parser)
    for name, section in SECTIONS.items():
        parser.add_argument(f"--{name}", type=section)
    if argv[:1] == ["fit"]:
        _refuse_lost_flags(argv)
        start = _start(argv[1:])
        parser.set_defaults(to_dict(start))
    visible = SETTINGS if "--help-all" in argv else COMMON
    for action in parser._actions:
        if action.dest.partition(".")[0] in SECTIONS and action.dest not in visible:
            action.help = argparse.SUPPRESS
    return parser


def run(options: Namespace) -> int:
    """Train, and print what was reached; returns the exit status."""
    config = _config(options)
    runs = runs_folder(options.runs)
    from chiasm.training import NoClassesError, fit
    from chiasm.training.summary import summary

    chosen = any(option is not None for option in (options.preset, options.config, options.resume))
    named = {"name": options.name, "runs": runs, "resume": options.resume, "overwrite": options.overwrite}
    try:
        result = fit(config, **named)
    except NoClassesError:
        if chosen:
            raise
        print(WITHOUT_CLASSES.format(source=config.data.source), file=sys.stderr)
        result = fit(_unlabelled(config), **named)
    if result.metrics:  # of several processes the first one alone
        print(summary(result))
    return STOPPED if result.interrupted else 0


def _unlabelled(config: Config) -> Config:
    """The settings that differ from the default's on top of those for images without labels."""
    usual, given = (flatten(to_dict(c)) for c in (from_preset("compact"), config))
    return from_preset("unlabelled", {key: value for key, value in given.items() if value != usual[key]})


def _add_usual(parser: Parser) -> None:
    """The flags that are no settings, and the budget."""
    parser.add_argument(
        "--preset", type=str | None, default=None, help=f"the settings to start from: {', '.join(PRESETS)}"
    )
    parser.add_argument(
        "--config",
        type=Path | None,
        default=None,
        metavar="FILE",
        help="a YAML file of settings, such as a run's config.yaml, or with a line 'preset: NAME'",
    )
    parser.add_argument("--name", type=str | None, default=None, help="name of the run, by default DATA and a number")
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="FOLDER", help="folder of all runs")
    parser.add_argument("--resume", type=Path | None, default=None, metavar="RUN", help="the run to go on with")
    parser.add_argument("--overwrite", action="store_true", help="begin the run of that --name again")
    parser.add_argument("--seed", type=int | None, default=None, help="of weights, batches and noise")
    budget = parser.add_argument_group("budget, instead of the preset's; training ends with the first that is used up")
    for name, told in BUDGETS.items():
        kind = int if name == "steps" else float
        budget.add_argument(_flag(name), type=kind | None, default=None, metavar="N", help=told)


def _flag(budget: str) -> str:
    return "--" + budget.replace("_", "-")


def _refuse_lost_flags(argv: Sequence[str]) -> None:
    """A file for one section would be read unchecked; a --train.max_minutes beside --steps, which is all, be lost."""
    given = {word.partition("=")[0] for word in argv}
    for flag in given & {"--data.avatars", *(f"--{name}" for name in SECTIONS)}:
        raise ConfigError(
            f"{flag}: a section takes no value; give its settings, {flag}.KEY, or a whole file, --config."
        )
    refuse_two_budgets(given)


def refuse_two_budgets(given: Set[str]) -> None:
    """Of flags: --steps, which is all the budget, beside a --train.max_minutes.

    Raises:
        ConfigError: if so.
    """
    short = sorted(given & {_flag(budget) for budget in BUDGETS})
    long = sorted(given & {f"--train.{budget}" for budget in BUDGETS})
    if short and long:
        instead = long[0].replace("train.", "").replace("_", "-")
        raise ConfigError(f"{long[0]}: {short[0]} replaces every other budget; give {instead} beside it.")


def _start(argv: Sequence[str]) -> Config:
    """The settings to start from: those of the run to be resumed or else the preset's, and a file's on top."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    for flag in ("--preset", "--config", "--resume"):
        first.add_argument(flag)
    try:
        chosen, _ = first.parse_known_args(argv)
    except argparse.ArgumentError as error:
        raise ConfigError(f"{error}.") from error
    settings = {} if chosen.config is None else read_yaml(Path(chosen.config))
    preset = settings.pop("preset", None)
    preset = preset if chosen.preset is None else chosen.preset
    if chosen.resume is None:
        return from_preset("compact" if preset is None else preset, settings)
    if preset is not None:
        raise ConfigError(f"--preset: got {preset!r} with --resume; a run goes on with its own settings, leave it out.")
    from chiasm.runs import RunFolder

    return changed(RunFolder.open(Path(chosen.resume))[1], flatten(settings))


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
