import pytest

from chiasm.config import Config, ConfigError
from chiasm.overrides import changed, flatten, lookup, to_dict


def test_every_setting_is_found_under_its_dotted_key() -> None:
    flat = flatten(to_dict(Config()))
    assert flat["data.avatars.num_people"] == 240
    assert flat["model.encoder_widths"] == [16, 32, 64, 128]
    assert {key: lookup(Config(), key) for key in flat} == flat


def test_only_the_settings_asked_for_change() -> None:
    new = {"loss.gamma": 2.0, "data.avatars.mirror": False, "model.encoder_widths": [8, 8]}
    before, after = (flatten(to_dict(config)) for config in (Config(), changed(Config(), new)))
    assert after == before | new
    assert changed(Config(), before) == Config()


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("loss.gama", 1.0, "loss.gama"),
        ("los.gamma", 1.0, "los: no such key"),
        ("loss.gamma.x", 1.0, "loss.gamma.x"),
        ("loss.gamma", "much", "loss.gamma"),
        ("train", 3, "train"),
        ("model.encoder_stride", 4.0, "give one of 2, 4"),
        ("model.encoder_stride", True, "give one of 2, 4"),
    ],
)
def test_what_cannot_be_is_named(key: str, value: object, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        changed(Config(), {key: value})
