import pytest

from parotid_brachy.lib.anatomy import Side
from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.infers.options import Ending, InferOptions, parse_options, shown_options
from parotid_brachy.lib.segmentation.presets import Step


def test_a_request_without_options_has_the_defaults():
    assert parse_options({}) == InferOptions()
    assert InferOptions().side is None


def test_options_are_parsed_into_types():
    options = parse_options(
        {
            "side": "Right",
            "keep_beyond_reach": "true",
            "gland_model": "v2",
            "result_extension": ".seg.nrrd",
            "save_label": False,
        }
    )
    assert options == InferOptions(
        side=Side.RIGHT,
        keep_beyond_reach=True,
        versions={Step.GLAND: "v2"},
        ending=Ending.SEGMENTATION,
        save_draft=False,
    )


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("side", "up"),
        ("side", ["auto", "left"]),
        ("side", None),
        ("keep_beyond_reach", "perhaps"),
        ("keep_beyond_reach", 3),
        ("gland_model", ["v1"]),
        ("result_extension", ".exe"),
        ("result_extension", "/../../x.nrrd"),
        ("label_tag", "final"),
        ("label_tag", "../../x"),
        ("save_label", []),
    ],
)
def test_an_unknown_value_is_refused_by_name(option, value):
    with pytest.raises(UsageError, match=option):
        parse_options({option: value})


def test_what_is_shown_can_be_sent_back_as_slicer_does():
    shown = shown_options({Step.GLAND: ["new", "old"], Step.ORGANS_AT_RISK: ["only"]})
    sent = {key: value[0] if isinstance(value, list) else value for key, value in shown.items()}
    assert parse_options(sent) == InferOptions(
        versions={Step.GLAND: "new", Step.ORGANS_AT_RISK: "only"}
    )


def test_no_drop_down_is_empty():
    shown = shown_options({Step.GLAND: []}, with_reach=False)
    assert shown == {"side": ["auto", "left", "right"]}
