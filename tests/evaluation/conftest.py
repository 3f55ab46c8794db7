"""A set and a classifier of it that several files of these tests share."""

import numpy as np
import pytest
from grids import grid

from chiasm.data import ImageSet
from chiasm.evaluation import classifiers
from chiasm.evaluation.classifiers import Classifier, fit_classifier
from chiasm.evaluation.fitting import FitSettings


@pytest.fixture(scope="package")
def images() -> ImageSet:
    return grid(num_classes=5, num_contents=4, num_copies=8)


@pytest.fixture(scope="package")
def net(images: ImageSet) -> Classifier:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifiers, "SETTINGS", FitSettings(lr=4e-3, batch=32, min_steps=25, max_rounds=4))
        return fit_classifier(images, np.arange(len(images)), seed=0)
