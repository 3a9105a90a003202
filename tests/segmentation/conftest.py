import pytest
import torch
from tests.segmentation.versions import planted_head, planted_registry

from parotid_brachy.lib.segmentation.backends import Backend
from parotid_brachy.lib.segmentation.model import Model
from parotid_brachy.lib.segmentation.presets import Step


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Small networks only wait for each other's threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def planted(tmp_path_factory):
    """Loaded planted models by step."""
    registry = planted_registry(tmp_path_factory.mktemp("planted") / "model", steps=tuple(Step))
    cpu = torch.device("cpu")
    return {step: Model(registry.champion(step), cpu, Backend.TORCH) for step in Step}


@pytest.fixture(scope="session")
def head():
    return planted_head()
