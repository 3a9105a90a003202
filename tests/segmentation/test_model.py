import json
import threading

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.segmentation.versions import SMALL, untrained_registry, write_untrained

from parotid_brachy.lib.anatomy import GLAND, MANDIBULAR_RAMUS, STRUCTURES
from parotid_brachy.lib.errors import ModelRefusedError
from parotid_brachy.lib.segmentation import backends
from parotid_brachy.lib.segmentation.backends import Backend, best_backend, best_device
from parotid_brachy.lib.segmentation.model import Model
from parotid_brachy.lib.segmentation.planning import CONFIGURATION
from parotid_brachy.lib.segmentation.presets import Step
from parotid_brachy.lib.segmentation.registry import (
    DATASET,
    MANIFEST,
    PLANS,
    WEIGHTS,
    load_weights,
    read_version,
)

CPU = torch.device("cpu")
SHAPES = [(40, 41, 33), (5, 70, 7), (1, 1, 1)]


@pytest.fixture(scope="module")
def version(tmp_path_factory):
    registry = untrained_registry(tmp_path_factory.mktemp("untrained") / "model")
    return registry.champion(Step.ORGANS_AT_RISK)


@pytest.fixture(scope="module")
def model(version):
    return Model(version, CPU, Backend.TORCH)


def ct(shape, seed=0):
    return np.random.default_rng(seed).normal(0, 400, shape).astype(np.float32)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_probabilities_lie_on_the_grid_asked_for_and_sum_to_one(model, shape):
    result = model.probabilities(ct(shape))
    assert result.shape == (8, *shape)
    assert result.dtype == np.float32
    assert result.min() >= 0
    np.testing.assert_allclose(result.sum(axis=0), 1, atol=1e-5)


def test_the_same_input_gives_the_same_output_bit_for_bit(model):
    hu = ct((30, 44, 44))
    before = hu.copy()
    first = model.probabilities(hu)
    model.probabilities(ct((30, 44, 44), seed=1))
    assert np.array_equal(first, model.probabilities(hu))
    assert np.array_equal(hu, before)


def test_an_untrained_network_is_not_constant(model):
    assert model.probabilities(ct((24, 40, 40))).std(axis=(1, 2, 3)).max() > 0.05


def test_openvino_differs_from_torch_by_little(version, model):
    """On a network of noise, which is surer and rougher than a trained one, in bfloat16.

    The outermost voxels are left out: at a patch's corners nnU-Net weighs logits by less than
    half precision holds, and rounds them to whole numbers in either backend.
    """
    fast = Model(version, CPU, Backend.OPENVINO)
    hu = ct((30, 44, 44))
    plain, quick = model.probabilities(hu), fast.probabilities(hu)
    inner = np.abs(plain - quick)[:, 6:-6, 6:-6, 6:-6]
    assert inner.max() < 0.1
    assert inner.mean() < 0.003
    assert (plain.argmax(axis=0) == quick.argmax(axis=0)).mean() > 0.98
    assert np.array_equal(quick, fast.probabilities(hu))


def test_a_model_knows_its_structures_by_its_own_values(model, planted):
    assert [model.value_of(s) for s in STRUCTURES] == [1, 2, 3, 4, 5, 6, 7]
    gland = planted[Step.GLAND]
    assert gland.value_of(GLAND) == 1
    assert gland.value_of(MANDIBULAR_RAMUS) is None


def test_a_model_says_what_it_is(model):
    assert model.name == "organs_at_risk/untrained"
    assert model.spacing_kji_mm == SMALL[Step.ORGANS_AT_RISK].spacing_kji_mm
    assert model.patch_kji == SMALL[Step.ORGANS_AT_RISK].patch_kji


def test_callers_in_parallel_get_what_they_would_get_alone(model):
    inputs = [ct((24, 40, 40), seed) for seed in range(3)]
    alone = [model.probabilities(hu) for hu in inputs]
    together = [None] * len(inputs)

    def predict(n):
        together[n] = model.probabilities(inputs[n])

    threads = [threading.Thread(target=predict, args=(n,)) for n in range(len(inputs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


def test_the_papers_intensities_are_nnunets_ct_scheme(tmp_path):
    """Clipped at the percentiles, then standardised, with the plans' figures."""
    folder = write_untrained(tmp_path / "v", Step.GLAND, preset="paper", small=False)
    model = Model(read_version(folder), CPU, Backend.TORCH)
    hu = np.float32([-5000, -900, 60, 310, 9000]).reshape(1, 1, 5)
    channels = model.channels(hu)
    assert channels.shape == (1, 1, 1, 5)
    assert channels.ravel().tolist() == pytest.approx(
        [-960 / 250, -960 / 250, 0.0, 1.0, 1440 / 250]
    )


def _rewrite(folder, name, change):
    """Changes a file of a version and makes the manifest's hash fit: an insider's attack."""
    import hashlib

    path = folder / name
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["sha256"][name] = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / MANIFEST).write_text(json.dumps(manifest))


def _name_a_system_call(plans):
    plans["configurations"][CONFIGURATION]["architecture"]["network_class_name"] = "os.system"


def _want_a_huge_patch(plans):
    plans["configurations"][CONFIGURATION]["patch_size"] = [1 << 20] * 3


def _want_other_features(plans):
    own = plans["configurations"][CONFIGURATION]["architecture"]["arch_kwargs"]
    own["features_per_stage"] = [7] * 5


def _rename_a_structure(description):
    description["labels"]["larynx"] = description["labels"].pop("parotid_gland")


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (PLANS, _name_a_system_call, "'os.system' for network_class_name"),
        (PLANS, _want_a_huge_patch, "patch_size"),
        (PLANS, _want_other_features, "weights do not fit"),
        (DATASET, _rename_a_structure, "larynx"),
    ],
)
def test_a_hostile_version_is_refused_even_if_its_hashes_fit(tmp_path, name, change, message):
    folder = write_untrained(tmp_path / "v", Step.GLAND)
    _rewrite(folder, name, change)
    with pytest.raises(ModelRefusedError, match=message) as refusal:
        Model(read_version(folder), CPU, Backend.TORCH)
    assert "gland/v" in str(refusal.value)


def test_weights_of_nan_are_refused(tmp_path):
    folder = write_untrained(tmp_path / "v", Step.GLAND)
    version = read_version(folder)
    weights = {name: value * torch.nan for name, value in load_weights(folder).items()}
    save_file(weights, folder / WEIGHTS)
    with pytest.raises(ModelRefusedError, match=r"gland/v.*not finite"):
        Model(version, CPU, Backend.TORCH)


def test_an_answer_that_is_not_finite_is_refused(tmp_path):
    """Weights may be finite and their sums not."""
    folder = write_untrained(tmp_path / "v", Step.GLAND)
    version = read_version(folder)
    weights = load_file(folder / WEIGHTS)
    weights = {n: v * 1e30 if "seg_layers" in n else v for n, v in weights.items()}
    save_file(weights, folder / WEIGHTS)
    model = Model(version, CPU, Backend.TORCH)
    with pytest.raises(ModelRefusedError, match=r"gland/v.*not finite"):
        model.probabilities(ct((10, 10, 10)))


def test_without_openvino_a_cpu_runs_torch(monkeypatch):
    assert best_backend(CPU) is Backend.OPENVINO
    monkeypatch.setattr(backends.importlib.util, "find_spec", lambda name: None)
    assert best_backend(CPU) is Backend.TORCH


def test_a_gpu_runs_torch():
    assert best_backend(torch.device("cuda")) is Backend.TORCH


def test_the_device_is_one_that_is_there():
    assert best_device().type == ("cuda" if torch.cuda.is_available() else "cpu")
