"""The straight grid of tilted and uneven slices: every slice lies in it, where it lay before."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from oracles.dicom_series import rotation

from medseg.read.repair import REPAIRS
from medseg.read.slice_positions import grid_of

SIZE = (30, 20)


@given(
    gaps_mm=st.lists(st.floats(1.0, 1.45), min_size=1, max_size=20),
    sideways=st.tuples(st.floats(-0.7, 0.7), st.floats(-0.7, 0.7)),
    turn=st.floats(-3, 3),
    spacing_mm=st.tuples(st.floats(0.2, 3), st.floats(0.2, 3)),
)
def test_every_slice_lies_on_the_grid_where_it_lay(gaps_mm, sideways, turn, spacing_mm):
    axes = rotation((1.0, -2.0, 0.5), turn)
    along_mm = np.r_[0, np.cumsum(gaps_mm)]
    positions = np.add([5.0, -70.0, 300.0], np.outer(along_mm, axes @ [*sideways, 1]))
    pixels = axes[:, :2] * spacing_mm
    grid = grid_of("series", positions, pixels, SIZE, REPAIRS)
    if grid.repair is None:
        found = grid.origin + np.outer(np.arange(len(positions)), grid.step)
        assert np.abs(found - positions).max() <= grid.off_mm + 1e-9 <= 0.1 + 1e-9
        return
    starts, shape = grid.repair.starts, np.array(grid.repair.shape)
    found = grid.origin + starts[:, :2] @ pixels.T + np.outer(starts[:, 2], grid.step)
    allowed_mm = grid.off_mm + 0.01 * max(spacing_mm)  # a shift of less than a hundredth of a pixel is left out
    assert np.linalg.norm(found - positions, axis=1).max() <= allowed_mm * np.sqrt(2) + 1e-6
    assert (starts >= 0).all()
    assert (starts[:, :2] <= shape[:2] - SIZE + 1e-6).all()
    assert starts[-1, 2] == shape[2] - 1 <= 2 * len(gaps_mm)
    if "tilt_degrees" in grid.repair.facts:
        np.testing.assert_allclose(pixels.T @ grid.step, 0, atol=1e-9)
