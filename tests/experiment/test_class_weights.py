import numpy as np
import pytest

from fakd_jax.errors import UserError
from fakd_jax.experiment.class_weights import balanced_class_weights


def test_every_class_counts_alike():
    weights = balanced_class_weights([0, 0, 0, 1, 2, 2], ("a", "b", "c"))
    np.testing.assert_allclose(weights, [2 / 3, 2.0, 1.0])


def test_a_class_without_images_is_refused_by_its_name():
    with pytest.raises(UserError, match=r"of the class b, .*class_weights=none"):
        balanced_class_weights([0, 2], ("a", "b", "c"))
