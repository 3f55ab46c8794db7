import pytest
import yaml

from chiasm.config import Config, ConfigError, DataConfig, LossConfig, ModelConfig, StrengthConfig, TrainConfig
from chiasm.overrides import from_dict, to_dict
from chiasm.presets import PRESETS, from_preset


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_round_trips_through_yaml(name: str) -> None:
    config = PRESETS[name]()
    assert from_dict(Config, yaml.safe_load(yaml.safe_dump(to_dict(config)))) == config


def test_unknown_key_is_named() -> None:
    with pytest.raises(ConfigError, match="train.lrr"):
        from_dict(Config, {"train": {"lrr": 1.0, "steps": 1}})


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"train": {"lr": "fast", "steps": 1}}, "train.lr"),
        ({"train": {"steps": 1.5}}, "train.steps"),
        ({"model": {"side_px": True}}, "model.side_px"),
        ({"model": {"output": "relu"}}, "model.output"),
        ({"train": {"betas": [0.5], "steps": 1}}, "train.betas"),
        ({"data": {"avatars": {"mirror": "yes"}}}, "data.avatars.mirror"),
        ({"data": {"a_ignores": ["turn"]}}, "data.a_ignores.*'rotate'"),
    ],
)
def test_wrong_type_is_refused_by_key(values: dict, key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        from_dict(Config, values)


@pytest.mark.parametrize(
    ("build", "key", "remedy"),
    [
        (lambda: TrainConfig(steps=1, batch_size=7), "train.batch_size", "even"),
        (lambda: TrainConfig(), "train.steps", "budget"),
        (lambda: ModelConfig(side_px=60), "model.side_px", "try 64"),
        (lambda: ModelConfig(rgb_kernel=4), "model.rgb_kernel", "odd"),
        (lambda: ModelConfig(components_b=4), "model.components_b", "neighbours_b above 0"),
        (lambda: LossConfig(weight_swap=0.0), "loss.weight_swap", "weight"),
        (lambda: LossConfig(weight_swap=0.0, gamma=1.0), "loss.weight_rec", "weight"),
        (lambda: LossConfig(weight_swap=0.0, weight_rec=1.0, cross_start=0.5), "loss.cross_start", "weight_direct"),
        (lambda: LossConfig(inversion_start=0.0), "loss.inversion_start", "above 0"),
        (lambda: LossConfig(refinement_start=0.0), "loss.refinement_start", "1 for no refinement"),
        (
            lambda: LossConfig(inversion_start=0.9, refinement_start=0.9),
            "loss.refinement_start",
            "above 0.9",
        ),
        (lambda: DataConfig(held_out=0.0), "data.held_out", "fraction"),
        (lambda: DataConfig(pairs="pairs.csv"), "data.pairs", "--data.supervision pairs"),
        (lambda: DataConfig(partners=2, supervision="none"), "data.partners", "give 1"),
        (lambda: DataConfig(groups=4, supervision="partial"), "data.groups", "give 0, or all labels"),
        (lambda: from_preset("tiny", {"data.groups": 4}), "loss.weight_adversary", "give 0"),
        (lambda: DataConfig(supervision="augmentations"), "data.a_ignores", "rotate flip"),
        (lambda: DataConfig(a_ignores=("flip", "flip")), "data.a_ignores", "once"),
        (lambda: DataConfig(a_ignores=("flip",), b_ignores=("flip",)), "data.b_ignores", "ignores flip already"),
        (
            lambda: DataConfig(b_ignores=("blur",), strength=StrengthConfig(blur=0.0)),
            "data.b_ignores",
            "data.strength.blur",
        ),
        (lambda: StrengthConfig(rotate=200.0), "data.strength.rotate", "180"),
    ],
)
def test_impossible_combination_names_key_and_remedy(build, key: str, remedy: str) -> None:
    with pytest.raises(ConfigError, match=key) as caught:
        build()
    assert remedy in str(caught.value)


def test_gamma_holds_for_both_factors_unless_one_is_given() -> None:
    loss = LossConfig(weight_rec=1.0, gamma=0.4, gamma_b=2.0)
    assert (loss.cycle_a, loss.cycle_b) == (0.4, 2.0)


def test_preset_changes_reach_only_their_keys() -> None:
    config = from_preset("tiny", {"train": {"steps": 9}})
    assert config.train.steps == 9
    assert config.train.batch_size == PRESETS["tiny"]().train.batch_size
    assert from_preset("tiny", {"train.steps": 9}) == config
    assert from_preset("tiny", {"data": {"avatars": {"mirror": False}}}).data.avatars.num_people == 12
    with pytest.raises(ConfigError, match="nosuch"):
        from_preset("nosuch")


@pytest.mark.parametrize(
    ("inversion", "refinement", "progress", "name", "over"),
    [
        (1.0, 1.0, 0.5, "all", 0.5),
        (1.0, 1.0, 1.5, "all", 1.5),
        (0.8, 1.0, 0.4, "all", 0.5),
        (0.8, 1.0, 0.8, "inversion", 0.0),
        (0.8, 1.0, 0.9, "inversion", 0.5),
        (0.8, 0.9, 0.85, "inversion", 0.5),
        (0.8, 0.9, 0.9, "refinement", 0.0),
        (0.8, 0.9, 0.95, "refinement", 0.5),
        (1.0, 0.8, 0.4, "all", 0.5),
        (1.0, 0.8, 0.9, "refinement", 0.5),
    ],
)
def test_each_stage_has_a_progress_of_its_own(
    inversion: float, refinement: float, progress: float, name: str, over: float
) -> None:
    stage = LossConfig(inversion_start=inversion, refinement_start=refinement).stage(progress)
    assert (stage.name, stage.progress) == (name, pytest.approx(over))
