import pytest

from parotid_brachy.lib.comparison.methods import Method
from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.segmentation.presets import NetworkKind, Step


@pytest.mark.parametrize("preset", ["compact", "paper"])
def test_only_the_two_step_method_has_two_networks(preset):
    steps = {method: [one.step for one in method.presets(preset)] for method in Method}
    assert steps.pop(Method.TWO_STEP) == [Step.GLAND, Step.ORGANS_AT_RISK]
    assert set(map(tuple, steps.values())) == {(Step.ONE_STEP,)}


def test_each_baseline_has_its_own_network():
    kinds = {method: method.presets("compact")[0].network for method in Method}
    assert kinds == {
        Method.TWO_STEP: NetworkKind.NNUNET,
        Method.ONE_STEP: NetworkKind.NNUNET,
        Method.UNET3D: NetworkKind.UNET_3D,
        Method.VNET: NetworkKind.VNET,
    }


def test_an_unknown_preset_is_refused():
    with pytest.raises(UsageError, match="no preset 'vnet' for step gland"):
        Method.TWO_STEP.presets("vnet")
