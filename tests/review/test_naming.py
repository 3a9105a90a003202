import pytest
from hypothesis import given
from hypothesis import strategies as st

from parotid_brachy.lib.anatomy import (
    AURICULA,
    CONDYLE_PROCESS,
    GLAND,
    MASTOID_PROCESS,
    SKIN,
    STRUCTURES,
)
from parotid_brachy.lib.errors import InputRefusedError
from parotid_brachy.lib.imaging.segments import NO_STRUCTURES
from parotid_brachy.lib.review.naming import (
    OF_A_PALETTE,
    OF_VALUES,
    of_list,
    of_values,
)


def named(*pairs):
    return [{"name": name, "idx": idx} for name, idx in pairs]


def meaning(naming):
    by_value = {one.value: one for one in STRUCTURES}
    return {value: by_value[own] for value, own in naming.values.items() if own}


def slicers_list(segments):
    """What onSaveLabel of 3D Slicer's module sends, and the segments' true values."""
    kept = [(idx, name) for idx, name in enumerate(segments, start=1) if name not in NO_STRUCTURES]
    return named(*((name, idx) for idx, name in kept)), {
        value: name for value, (_, name) in enumerate(kept, start=1)
    }


structures = st.permutations([one.name for one in STRUCTURES]).flatmap(
    lambda names: st.integers(1, len(names)).map(lambda count: names[:count])
)


@st.composite
def slicer_segmentations(draw):
    segments = list(draw(structures))
    # Slicer leaves out exactly its own names; the others are listed like any segment.
    for extra in draw(st.lists(st.sampled_from((*NO_STRUCTURES, "Background", "drawing")))):
        segments.insert(draw(st.integers(0, len(segments))), extra)
    label_info, truth = slicers_list(segments)
    present = draw(st.sets(st.sampled_from(sorted(truth))))
    return label_info, {value: truth[value] for value in present}


@given(slicer_segmentations())
def test_slicers_names_are_right_or_the_map_is_refused(sent):
    label_info, truth = sent
    try:
        naming = of_list(label_info, {0, *truth}, what="case")
    except InputRefusedError as refused:
        assert "in two ways" in str(refused) or "'drawing'" in str(refused)  # noqa: PT017
        return
    known = {one.name for one in STRUCTURES}
    expected = {value: name for value, name in truth.items() if name in known}
    assert {value: one.name for value, one in meaning(naming).items()} == expected
    listed = {entry["name"] for entry in label_info}
    assert {one.name for one in naming.contoured} == listed & known


@given(structures, st.data())
def test_slicers_names_are_always_understood_without_scribbles(segments, data):
    label_info, truth = slicers_list(segments)
    present = data.draw(st.sets(st.sampled_from(sorted(truth))))
    naming = of_list(label_info, present, what="case")
    assert {v: one.name for v, one in meaning(naming).items()} == {v: truth[v] for v in present}


@given(structures, st.data())
def test_names_numbered_by_value_are_right_or_the_map_is_refused(names, data):
    idx = st.integers(1, 255)
    values = data.draw(st.lists(idx, min_size=len(names), max_size=len(names), unique=True))
    truth = dict(zip(values, names, strict=True))
    present = data.draw(st.sets(st.sampled_from(values)))
    label_info = named(*((name, value) for value, name in truth.items()))
    expected = {value: truth[value] for value in present}
    sure = of_list(label_info, present, what="case", reading=OF_VALUES)
    assert {value: one.name for value, one in meaning(sure).items()} == expected
    try:
        naming = of_list(label_info, present, what="case")
    except InputRefusedError as refused:
        assert "in two ways" in str(refused)  # noqa: PT017
        return
    assert naming == sure


def test_a_list_that_runs_ahead_of_the_values_is_counted_by_place():
    label_info = named(("auricula", 2), ("skin", 3))
    naming = of_list(label_info, {0, 1, 2}, what="case")
    assert meaning(naming) == {1: AURICULA, 2: SKIN}


def test_a_list_with_gaps_is_counted_by_idx_where_only_that_explains_the_map():
    naming = of_list(named(("condyle_process", 2), ("skin", 3)), {0, 2, 3}, what="case")
    assert meaning(naming) == {2: CONDYLE_PROCESS, 3: SKIN}


def test_a_map_that_both_ways_explain_differently_is_refused_and_the_way_out_is_told():
    with pytest.raises(InputRefusedError) as refused:
        of_list(named(("condyle_process", 2), ("skin", 3)), {0, 2}, what="a: b.nii.gz")
    assert str(refused.value) == (
        "a: b.nii.gz: its names can be understood in two ways: value 2 is 'condyle_process' by "
        "idx, but 'skin' by the place in the list. To make it clear, list every structure (empty "
        "ones too), delete the background and scribble segments, or save as .seg.nrrd; then save "
        "again."
    )


def test_a_list_out_of_order_is_no_list_of_slicers():
    naming = of_list(named(("skin", 2), ("auricula", 1)), {1, 2}, what="case")
    assert meaning(naming) == {1: AURICULA, 2: SKIN}


def test_listed_structures_without_voxels_are_empty_on_purpose_unless_it_is_a_palette():
    label_info = named(("parotid_gland", 7), ("skin", 3))
    assert of_list(label_info, {0, 3}, what="case").contoured == (SKIN, GLAND)
    palette = of_list(label_info, {0, 3}, what="case", reading=OF_A_PALETTE)
    assert palette.contoured == (SKIN,)


@pytest.mark.parametrize("spelt", ["Mastoid process", "mastoid_process", " MASTOID-Process "])
def test_names_are_known_however_they_are_spelt(spelt):
    assert meaning(of_list(named((spelt, 1)), {1}, what="case")) == {1: MASTOID_PROCESS}


def test_the_background_and_scribbles_are_no_part_of_the_contours():
    label_info = named(("background", 0), ("skin", 1), ("Foreground_scribbles", 9))
    naming = of_list(label_info, {0, 1, 9}, what="case")
    assert naming.values == {1: SKIN.value, 9: 0}
    assert naming.contoured == (SKIN,)


def test_unknown_names_are_refused_with_voxels_and_told_of_without():
    label_info = named(("skin", 1), ("tumour", 2))
    assert of_list(label_info, {0, 1}, what="case").ignored == ("tumour",)
    with pytest.raises(InputRefusedError, match=r"case: 'tumour' \(value 2\) is no structure"):
        of_list(label_info, {0, 1, 2}, what="case")


@pytest.mark.parametrize(
    ("label_info", "fault"),
    [
        (named(("skin", 1), ("Skin", 2)), "'skin' is named twice"),
        (named(("skin", 1), ("auricula", 1)), "the value 1 to two names"),
        (named(("auricula", 0), ("condyle_process", 1)), "gives 'auricula' the value '0'"),
        (named(("skin", 256)), "the value '256'"),
        (named(("skin", 10**300)), "the value '1000"),
        (named(("skin", True)), "needs the whole number"),
        (named(("skin", "1")), "needs the whole number"),
        (named(("skin", 1.5)), "needs the whole number"),
        (named(("skin", float("nan"))), "needs the whole number"),
        (named((7, 1)), "needs the whole number"),
        (named(("s" * 300, 1)), "needs the whole number"),
        (["skin"], "needs the whole number"),
        ([None], "needs the whole number"),
        ("skin", "no list"),
        ({"skin": 1}, "no list"),
        (named(*((f"tumour {n}", n) for n in range(1, 257))), "at most 255"),
        (named(("skin", 5)), r"values \[3\] have no name .*5 is 'skin'"),
    ],
)
def test_lists_that_say_nothing_certain_are_refused(label_info, fault):
    with pytest.raises(InputRefusedError, match=rf"^case: .*{fault}"):
        of_list(label_info, {0, 3}, what="case")


def test_without_names_the_values_are_the_projects():
    assert of_values({0, 3, 7}, what="case").contoured == (SKIN, GLAND)
    with pytest.raises(InputRefusedError, match=r"values \[8, 9\] belong to no structure"):
        of_values({0, 8, 9, 1}, what="case")


def test_a_whole_number_may_be_written_with_a_point():
    assert meaning(of_list(named(("skin", 3.0)), {0, 3}, what="case")) == {3: SKIN}
