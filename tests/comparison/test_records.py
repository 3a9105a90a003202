import pytest

from parotid_brachy.lib.comparison.child import Peak
from parotid_brachy.lib.comparison.records import (
    keep_labelling,
    keep_training_peak,
    kept_labelling,
    training_peak,
)
from parotid_brachy.lib.comparison.work import Labelled
from parotid_brachy.lib.errors import ConflictError

PEAK = Peak("CPU", 1234.5, None)
OUTCOMES = [Labelled("a_left", 1.5), Labelled("b_left", 0.0, "no CT values")]
NAMES = ["a_left", "b_left"]


def test_what_was_kept_is_found_again(tmp_path):
    assert training_peak(tmp_path) is None
    assert kept_labelling(["w"], NAMES, tmp_path) is None
    keep_training_peak(PEAK, tmp_path)
    keep_labelling(OUTCOMES, PEAK, ["w"], tmp_path)
    assert training_peak(tmp_path) == PEAK
    assert kept_labelling(["w"], NAMES, tmp_path) == (OUTCOMES, PEAK)


@pytest.mark.parametrize(("weights", "names"), [(["v"], NAMES), (["w"], NAMES[:1])])
def test_a_labelling_by_other_weights_or_of_others_does_not_count(tmp_path, weights, names):
    keep_labelling(OUTCOMES, PEAK, ["w"], tmp_path)
    assert kept_labelling(weights, names, tmp_path) is None


@pytest.mark.parametrize("content", ["", "[]", '{"device": "CPU"}', '{"no": 1}'])
def test_a_damaged_record_is_refused(tmp_path, content):
    keep_training_peak(PEAK, tmp_path)
    (tmp_path / "peak.json").write_text(content)
    with pytest.raises(ConflictError, match="its records are damaged"):
        training_peak(tmp_path)
