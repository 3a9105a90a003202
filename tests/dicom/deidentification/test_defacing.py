import numpy as np
import pytest
from tests.imaging.heads import STRAIGHT, grid_of, head, positions_of

from parotid_brachy.lib.anatomy import GLAND, REACH_MM
from parotid_brachy.lib.dicom.deidentification.defacing import Basis, DefacingMethod, deface
from parotid_brachy.lib.errors import GeometryError, InputRefusedError
from parotid_brachy.lib.imaging.volume import Volume

GRIDS = {
    "straight": grid_of(),
    "upside down": grid_of(direction=(1, 0, 0, 0, -1, 0, 0, 0, -1)),
    "coronal": grid_of((44, 40, 52), (4.0, 5.0, 4.0), (1, 0, 0, 0, 0, 1, 0, -1, 0)),
}


def gland_map(grid, sides=(-1, 1)):
    lps = positions_of(grid)
    labels = np.zeros(grid.shape_kji, np.uint8)
    for side in sides:
        labels[((lps - (side * 58, 10, -20)) ** 2).sum(axis=-1) < 12**2] = GLAND.value
    return labels


def distance_to(mask, grid):
    lps = positions_of(grid).reshape(-1, 3)
    points = lps[mask.ravel()]
    nearest = np.full(len(lps), np.inf)
    for point in points:
        nearest = np.minimum(nearest, ((lps - point) ** 2).sum(axis=1))
    return np.sqrt(nearest).reshape(mask.shape)


@pytest.mark.parametrize("name", GRIDS)
def test_the_faces_surface_goes_and_the_glands_surroundings_stay(name):
    volume = head(GRIDS[name])
    labels = gland_map(volume.grid)
    done = deface(volume, labels)
    assert done.basis is Basis.GLANDS
    protected = distance_to(labels == GLAND.value, volume.grid) <= REACH_MM
    assert protected.sum() > 500
    assert np.array_equal(done.volume.voxels[protected], volume.voxels[protected])
    lps = positions_of(volume.grid)
    nose = (np.abs(lps[..., 0]) < 12) & (lps[..., 1] < -88) & (np.abs(lps[..., 2] + 5) < 20)
    assert (volume.voxels[nose] > -300).sum() > 20
    assert done.volume.voxels[nose].max() == -1000
    # The frontmost tissue of every column through the middle of the face is gone, 8 mm deep.
    middle = (np.abs(lps[..., 0]) < 40) & (np.abs(lps[..., 2]) < 40)
    before = lps[..., 1][middle & (volume.voxels > -300)].min()
    after = lps[..., 1][middle & (done.volume.voxels > -300)].min()
    assert after - before >= 8.0
    behind = lps[..., 1] > 10
    assert np.array_equal(done.volume.voxels[behind], volume.voxels[behind])
    assert np.array_equal(done.changed, done.volume.voxels != volume.voxels)
    assert done.volume.voxels.dtype == volume.voxels.dtype


def test_every_voxel_of_the_front_surface_outside_of_the_glands_reach_is_air():
    volume = head()
    labels = gland_map(volume.grid)
    done = deface(volume, labels)
    lps = positions_of(volume.grid)
    far = distance_to(labels == GLAND.value, volume.grid) > REACH_MM + 3.0
    tissue = volume.voxels > -300
    first = np.cumsum(tissue, axis=1) == 1  # j runs to posterior: the frontmost of its column
    edge = first & tissue & (lps[..., 1] < 0) & far & (lps[..., 2] > -60)
    assert edge.sum() > 300
    assert done.volume.voxels[edge].max() <= -1000


def test_a_gland_on_one_side_protects_the_other_side_too():
    volume = head()
    done = deface(volume, gland_map(volume.grid, sides=(1,)))
    assert done.basis is Basis.ONE_GLAND
    protected = distance_to(gland_map(volume.grid) == GLAND.value, volume.grid) <= REACH_MM
    assert np.array_equal(done.volume.voxels[protected], volume.voxels[protected])
    assert done.changed.sum() > 1000


def test_without_a_gland_map_the_outline_tells_and_the_glands_stay():
    volume = head()
    done = deface(volume, None)
    assert done.basis is Basis.OUTLINE
    protected = distance_to(gland_map(volume.grid) == GLAND.value, volume.grid) <= REACH_MM
    assert np.array_equal(done.volume.voxels[protected], volume.voxels[protected])
    lps = positions_of(volume.grid)
    nose = (np.abs(lps[..., 0]) < 12) & (lps[..., 1] < -88) & (np.abs(lps[..., 2] + 5) < 20)
    assert done.volume.voxels[nose].max() == -1000


def test_the_blurred_edge_and_a_mask_in_front_of_the_face_go_too():
    volume = head(grid_of((44, 60, 40)))
    lps = positions_of(volume.grid)
    worn = (lps[..., 1] < -105) & (lps[..., 1] > -112) & (np.abs(lps[..., 0]) < 40)
    voxels = np.where(worn & (np.abs(lps[..., 2]) < 40), np.int16(-400), volume.voxels)
    done = deface(Volume(volume.grid, voxels, "worn"), gland_map(volume.grid))
    assert worn.any()
    assert done.volume.voxels[worn].max() == -1000


def test_the_volume_given_is_left_alone_and_the_result_is_repeatable():
    volume = head()
    before = volume.voxels.copy()
    first, second = (deface(volume, gland_map(volume.grid)) for _ in range(2))
    assert np.array_equal(volume.voxels, before)
    assert np.array_equal(first.volume.voxels, second.volume.voxels)
    shallow = deface(volume, gland_map(volume.grid), DefacingMethod(depth_mm=4.0))
    assert shallow.changed.sum() < first.changed.sum()


def test_what_has_no_head_no_gland_or_another_grid_is_refused():
    grid = grid_of((20, 20, 10), direction=STRAIGHT)
    empty = Volume(grid, np.full(grid.shape_kji, -1000, np.int16), "empty")
    with pytest.raises(InputRefusedError, match="empty: no head found"):
        deface(empty, None)
    with pytest.raises(InputRefusedError, match="no parotid gland"):
        deface(head(), np.zeros(head().grid.shape_kji, np.uint8))
    with pytest.raises(GeometryError):
        deface(head(), np.zeros((3, 3, 3), np.uint8))
