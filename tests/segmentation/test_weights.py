import pytest
import torch
from tests.segmentation.versions import SMALL, network_of, plans_of, weights_of

from parotid_brachy.lib.errors import ModelRefusedError
from parotid_brachy.lib.segmentation.presets import Step, preset_for
from parotid_brachy.lib.segmentation.weights import distinct_names, put_weights

PRESET = preset_for("compact", Step.GLAND)


def network(seed=0):
    return network_of(PRESET, plans_of(PRESET, SMALL[Step.GLAND]), seed=seed)


def test_every_tensor_is_named_once():
    net = network()
    names = distinct_names(net)
    pointers = [net.state_dict()[name].data_ptr() for name in names]
    assert len(set(pointers)) == len(pointers)
    assert set(pointers) == {value.data_ptr() for value in net.state_dict().values()}
    assert len(names) < len(net.state_dict()) / 2


def test_weights_put_into_another_network_make_it_answer_the_same():
    first, second = network(1).eval(), network(2).eval()
    x = torch.randn(1, 2, 32, 32, 32)
    assert not torch.allclose(first(x), second(x))
    put_weights(second, weights_of(first))
    assert torch.equal(first(x), second(x))


def test_a_state_dict_with_every_tensors_further_names_is_taken():
    first, second = network(1), network(2)
    put_weights(second, first.state_dict())
    assert all(
        torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True)
    )


def test_weights_of_half_precision_are_taken():
    weights = {name: value.half() for name, value in weights_of(network(1)).items()}
    net = network(2)
    put_weights(net, weights)
    assert all(p.dtype == torch.float32 for p in net.parameters())


def _without_one(weights):
    weights.popitem()


def _with_a_stranger(weights):
    weights["decoder.backdoor.weight"] = torch.zeros(1)


def _of_other_shape(weights):
    name = next(iter(weights))
    weights[name] = weights[name][:1]


def _with_nan(weights):
    next(iter(weights.values())).view(-1)[0] = torch.nan


def _with_infinity(weights):
    next(iter(weights.values())).view(-1)[0] = -torch.inf


def _of_whole_numbers(weights):
    name = next(iter(weights))
    weights[name] = weights[name].long()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_without_one, "is missing"),
        (_with_a_stranger, "no 'decoder.backdoor.weight'"),
        (_of_other_shape, "has shape"),
        (_with_nan, "not finite"),
        (_with_infinity, "not finite"),
        (_of_whole_numbers, "not finite numbers"),
    ],
)
def test_weights_that_do_not_fit_are_refused(damage, message):
    weights = weights_of(network(1))
    damage(weights)
    with pytest.raises(ModelRefusedError, match=message):
        put_weights(network(2), weights)
