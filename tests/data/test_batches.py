from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from chiasm.data import UNLABELLED
from chiasm.data.batches import Batches

CLASSES = [0, 1, 0, 2, 1, 0, UNLABELLED, 0, 1, UNLABELLED, 0, 1, 1]


def test_batch_is_a_function_of_seed_step_and_rank(image_set):
    images, indices = image_set(CLASSES), np.arange(13)
    first = Batches(images, indices, 4, seed=7, rank=1, world_size=2)
    steps = [first.at(step) for step in range(12)]
    second = Batches(images, indices, 4, seed=7, rank=1, world_size=2)
    for step in (11, 0, 5, 11, 3):
        np.testing.assert_array_equal(second.at(step).index, steps[step].index)
        np.testing.assert_array_equal(second.at(step).partner, steps[step].partner)
    others = [Batches(images, indices, 4, seed=8, rank=1, world_size=2), Batches(images, indices, 4, 7, 0, 2)]
    for other in others:
        assert any(other.at(s).index.tolist() != steps[s].index.tolist() for s in range(3))


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_ranks_share_out_every_epoch(image_set, world_size):
    images, indices = image_set([0] * 40), np.arange(3, 40)  # 37 images: no batch divides them
    ranks = [Batches(images, indices, 4, 0, rank, world_size) for rank in range(world_size)]
    halves = [(step, half) for step in range(80) for half in (0, 1)]
    stream = np.concatenate([np.split(rank.at(step).index, 2)[half] for step, half in halves for rank in ranks])
    for epoch in range(len(stream) // 37):
        assert sorted(stream[37 * epoch : 37 * (epoch + 1)].tolist()) == indices.tolist()
    assert stream[:37].tolist() != stream[37:74].tolist()
    assert ranks[0].steps_per_epoch == pytest.approx(37 / (4 * world_size))


def test_partner_is_another_image_of_the_class(image_set):
    images = image_set(CLASSES)
    indices = np.array([12, 0, 1, 3, 5, 6, 7, 8, 9])  # 2, 4, 10 and 11 are not in training
    batches = Batches(images, indices, 9, seed=1)
    pairs = set()
    for step in range(200):
        batch = batches.at(step)
        np.testing.assert_array_equal(images.classes[batch.index], images.classes[batch.partner])
        assert set(batch.partner.tolist()) <= set(indices.tolist())
        pairs |= set(zip(batch.index.tolist(), batch.partner.tolist(), strict=True))
    expected = {(i, j) for group in ([0, 5, 7], [1, 8, 12]) for i in group for j in group if i != j}
    assert pairs == expected | {(3, 3), (6, 6), (9, 9)}
    np.testing.assert_array_equal(batch.has_partner, ~np.isin(batch.index, [3, 6, 9]))


def test_further_partners_follow_the_first_ones_and_change_nothing_else(image_set):
    images, indices = image_set(CLASSES), np.arange(13)
    one, several = (Batches(images, indices, 4, seed=1, num_partners=num) for num in (1, 3))
    drawn = set()
    for step in range(50):
        batch = several.at(step)
        np.testing.assert_array_equal(one.at(step).index, batch.index)
        np.testing.assert_array_equal(one.at(step).partner, batch.partner[:4])
        np.testing.assert_array_equal(images.classes[batch.partner], np.tile(images.classes[batch.index], 3))
        assert ((batch.partner != np.tile(batch.index, 3)) == np.tile(batch.has_partner, 3)).all()
        drawn |= {tuple(row) for row in batch.partner.reshape(3, 4).T if images.classes[row[0]] == 0}
    assert len(drawn) > 25  # of 4 x 4 x 4, and not the same one three times
    assert several.load(0).x_partner.shape == (12, *one.load(0).x.shape[1:])


def test_an_image_alike_is_another_one_of_the_group_and_changes_nothing_else(image_set):
    images, indices = image_set(CLASSES), np.array([12, 0, 1, 3, 5, 6, 7, 8, 9])
    groups = np.array([0, 1, 0, 1, 0, UNLABELLED, 1, 2, UNLABELLED])
    batches, plain = Batches(images, indices, 9, seed=1, groups=groups), Batches(images, indices, 9, seed=1)
    pairs = set()
    for step in range(200):
        batch = batches.at(step)
        np.testing.assert_array_equal(plain.at(step).index, batch.index)
        np.testing.assert_array_equal(plain.at(step).partner, batch.partner)
        np.testing.assert_array_equal(plain.at(step).alike, batch.index)
        pairs |= set(zip(batch.index.tolist(), batch.alike.tolist(), strict=True))
    expected = {(i, j) for group in ([12, 1, 5], [0, 3, 7]) for i in group for j in group if i != j}
    assert pairs == expected | {(6, 6), (8, 8), (9, 9)}
    loaded = batches.load(7, similar=True)
    np.testing.assert_array_equal(loaded.x_alike, images.gather(batches.at(7).alike))
    assert plain.load(7).x_alike is None
    whole = Batches(images, indices, 4, 1, groups=groups).at(2).alike.reshape(2, 2)
    parts = [Batches(images, indices, 2, 1, rank, 2, groups=groups).at(2).alike.reshape(2, 1) for rank in (0, 1)]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)


def test_several_devices_share_out_further_partners_too(image_set):
    images, indices = image_set(CLASSES), np.arange(13)
    whole = Batches(images, indices, 4, seed=1, num_partners=2).at(3).partner.reshape(2, 2, 2)
    parts = [Batches(images, indices, 2, 1, rank, 2, num_partners=2).at(3).partner.reshape(2, 2, 1) for rank in (0, 1)]
    np.testing.assert_array_equal(np.concatenate(parts, axis=2), whole)


def test_few_labelled_images_come_up_as_often_as_unlabelled_ones(image_set):
    images = image_set([0, 0, 1, 1] + [UNLABELLED] * 36)
    batches = Batches(images, np.arange(40), 8, seed=2)
    sampled = np.concatenate([batches.at(step).index for step in range(9)])  # one epoch: 36 + 9 x 4 images
    assert batches.steps_per_epoch == 9
    np.testing.assert_array_equal(np.bincount(sampled), [9] * 4 + [1] * 36)
    for step in range(9):
        batch = batches.at(step)
        paired = images.classes[batch.index] != UNLABELLED
        assert (batch.partner[paired] != batch.index[paired]).all()


def test_positives_and_negatives_are_the_most_similar_of_the_class_and_of_other_classes(image_set):
    images = image_set([0, 1, 2] * 8)
    values = np.arange(24)  # image i has the value i everywhere
    batches = Batches(images, np.arange(24), 6, seed=1)
    for step in (0, 70, 3):
        batch = batches.load(step, similar=True)
        for index, positive in zip(batch.index[::2], batch.x_positive[:, 0, 0, 0], strict=True):
            assert images.classes[positive] == images.classes[index]
            assert positive != index
        for index, negative in zip(batch.index[1::2], batch.x_negative[:, 0, 0, 0], strict=True):
            distance = np.where(images.classes == images.classes[index], np.inf, abs(values - index))
            assert distance[negative] <= np.sort(distance)[3]
        again = Batches(images, np.arange(24), 6, seed=1).load(step, similar=True)
        np.testing.assert_array_equal(again.x_positive, batch.x_positive)
        np.testing.assert_array_equal(again.x_negative, batch.x_negative)
        assert batch.is_negative.shape == (3,)
        assert batch.is_negative.all()
    assert batches.load(3).x_negative is None


def test_negatives_of_unlabelled_images_are_other_images(image_set):
    batches = Batches(image_set([UNLABELLED] * 12), np.arange(12), 4, seed=1)
    for step in range(6):
        batch = batches.load(step, similar=True)
        assert (batch.x_negative != batch.x[1::2]).any(axis=(1, 2, 3)).all()
        assert not batch.is_negative.any()


def test_where_nothing_has_a_class_similar_images_are_found_for_every_place(image_set):
    images = image_set([UNLABELLED] * 12)  # image i has the value i everywhere
    for world_size in (1, 2):
        for step in range(6):
            parts = [Batches(images, np.arange(12), 8 // world_size, 1, r, world_size) for r in range(world_size)]
            loaded = [part.load(step, similar=True) for part in parts]
            x, positive, negative = (
                np.concatenate([getattr(part, name)[:, 0, 0, 0] for part in loaded]).astype(int)
                for name in ("x", "x_positive", "x_negative")
            )
            distances = np.concatenate([abs(x[::2] - positive), abs(x[1::2] - negative)])
            assert (distances >= 1).all()
            assert (distances <= 4).all()


def test_partners_are_uniform(image_set):
    batches = Batches(image_set([0] * 6), np.arange(6), 6, seed=0)
    counts = np.zeros((6, 6))
    for step in range(2000):
        batch = batches.at(step)
        np.add.at(counts, (batch.index, batch.partner), 1)
    assert (counts.diagonal() == 0).all()
    assert abs(counts[~np.eye(6, dtype=bool)] / 2000 - 0.2).max() < 0.04


def test_set_smaller_than_a_batch_is_repeated(image_set):
    batches = Batches(image_set([0, 0, 1]), np.arange(3), 16, seed=0)
    sampled = np.concatenate([batches.at(step).index for step in range(100)])
    assert len(sampled) == 1600
    assert (np.bincount(sampled) > 450).all()


def test_iterate_yields_what_at_says_with_pixels(image_set):
    images = image_set(CLASSES)
    batches = Batches(images, np.arange(13), 4, seed=0)
    for step, loaded in zip(range(5, 25), batches.iterate(5, 25), strict=True):
        batch = batches.at(step)
        np.testing.assert_array_equal(loaded.index, batch.index)
        np.testing.assert_array_equal(loaded.x[:, 2, 3, 1], batch.index)
        assert loaded.x_partner is not None
        np.testing.assert_array_equal(loaded.x_partner[:, 0, 1, 2], batch.partner)
    assert next(batches.iterate(0, 1, partners=False)).x_partner is None


def test_leaving_early_ends_the_thread(image_set):
    before = threading.active_count()
    iterator = Batches(image_set(CLASSES), np.arange(13), 4, seed=0).iterate(0, 10**9)
    next(iterator)
    assert threading.active_count() == before + 1
    start = time.monotonic()
    iterator.close()
    assert time.monotonic() - start < 2
    assert threading.active_count() == before


def test_error_of_the_thread_reaches_the_caller(image_set, monkeypatch):
    batches = Batches(image_set(CLASSES), np.arange(13), 4, seed=0)
    original = batches.load

    def load(step, partners=True, similar=False):
        if step == 2:
            raise OSError("the disk is gone")
        return original(step, partners)

    monkeypatch.setattr(batches, "load", load)
    before = threading.active_count()
    iterator = batches.iterate(0, 9)
    assert [next(iterator).index.shape, next(iterator).index.shape] == [(4,), (4,)]
    with pytest.raises(OSError, match="the disk is gone"):
        next(iterator)
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"indices": np.zeros(0, dtype=np.int64)}, "at least one image"),
        ({"batch_size": 0}, "batch_size >= 1"),
        ({"seed": -1}, "seed >= 0"),
        ({"rank": 2, "world_size": 2}, "rank < world_size"),
    ],
)
def test_mistakes(image_set, change, message):
    arguments = {"indices": np.arange(13), "batch_size": 4, "seed": 0} | change
    with pytest.raises(ValueError, match=message):
        Batches(image_set(CLASSES), **arguments)
