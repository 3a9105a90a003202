import json

import numpy as np
import pytest
from tests.review.studies import open_desk
from tests.segmentation.studies import write_case
from tests.segmentation.versions import (
    GLAND_HU,
    planted_head,
    planted_registry,
    untrained_registry,
    write_untrained,
)

from parotid_brachy.lib.anatomy import GLAND
from parotid_brachy.lib.cli.main import main
from parotid_brachy.lib.review.store import VersionStore
from parotid_brachy.lib.segmentation import backends
from parotid_brachy.lib.segmentation.presets import Step


@pytest.fixture
def registry(tmp_path):
    """Champion ``first`` and candidate ``second``."""
    registry = untrained_registry(tmp_path / "model", steps=(Step.GLAND,), name="first")
    metrics = {"gland": {"dsc": 0.87, "cases": ["a", "b"]}}
    draft = write_untrained(tmp_path / "draft", Step.GLAND, seed=3)
    registry.add(draft, name="second", metrics=metrics)
    return registry


@pytest.fixture
def call(registry):
    return lambda *arguments: main(["models", "--models", str(registry.root), *arguments])


@pytest.fixture
def studies(tmp_path):
    desk = open_desk(tmp_path / "studies", cases=())
    desk.store.close()
    return desk.folder


def entries(studies):
    store = VersionStore.open(studies / ".parotid")
    found = store.journal()
    store.close()
    return [(e.action, e.details["version"], e.details.get("reason")) for e in found]


def test_show_says_what_a_version_is_made_of(call, capsys):
    assert call("show", "gland", "second") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "gland/second: does not serve"
    assert any(line.startswith("preset: compact, made 20") for line in lines)
    assert "    dsc: 0.87" in lines
    assert call("show", "gland", "first") == 0
    out = capsys.readouterr().out
    assert out.startswith("gland/first: serves\n")
    assert "metrics: none were kept" in out


def test_show_as_json_holds_the_manifest(call, registry, capsys):
    assert call("show", "gland", "second", "--json") == 0
    row = json.loads(capsys.readouterr().out)
    assert row["manifest"] == registry.version(Step.GLAND, "second").manifest
    assert (row["version"], row["champion"]) == ("second", False)


def test_a_manifest_of_any_content_is_shown(call, registry, capsys):
    path = registry.root / "gland" / "second" / "manifest.json"
    odd = {"step": "gland", "training": ["x"], "sha256": 5, "metrics": [1, {"a": None}]}
    path.write_text(json.dumps(odd))
    assert call("show", "gland", "second") == 0
    assert '  [1, {"a": null}]' in capsys.readouterr().out


def test_promotion_and_rollback_are_journalled_where_studies_are_named(
    call, registry, studies, capsys
):
    where = ("--studies", str(studies), "--reason", "seen by all")
    assert call("promote", "gland", "second", *where) == 0
    assert registry.champion_name(Step.GLAND) == "second"
    assert call("rollback", "gland", *where) == 0
    assert registry.champion_name(Step.GLAND) == "first"
    assert capsys.readouterr().out.splitlines() == [
        "gland is now served by second",
        "gland is now served by first",
    ]
    assert entries(studies) == [
        ("found_champion", "first", None),
        ("promote_model", "second", "seen by all"),
        ("roll_back_model", "first", "seen by all"),
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("promote", "gland", "second", "--reason", "x"), 2, "go with --studies"),
        (("promote", "gland", "second", "--studies", "nowhere"), 2, "no version store here"),
        (("show", "gland", "third"), 1, "no version 'third'"),
        (("compare", "gland", "first", "third", "--images", "x", "--labels", "x"), 1, "'third'"),
        (("compare", "gland", "first", "second", "--images", "x", "--labels", "x"), 1, "no such"),
        (("compare", "gland", "first", "second"), 2, "--images"),
    ],
)
def test_what_cannot_be_done_is_said(call, registry, capsys, arguments, code, message):
    assert call(*arguments) == code
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""
    assert registry.champion_name(Step.GLAND) == "first"


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """Calls ``compare`` on one labelled head: ``planted`` knows its gland, ``noise`` does not."""
    root = tmp_path_factory.mktemp("compared")
    registry = planted_registry(root / "model", steps=(Step.GLAND,))
    registry.add(write_untrained(root / "draft", Step.GLAND), name="noise")
    head = planted_head(case="head")
    labels = np.where(head.voxels == GLAND_HU, np.uint8(GLAND.value), np.uint8(0))
    write_case(root, head, labels)
    folders = ("--images", str(root / "images"), "--labels", str(root / "labels"))

    # Making a network ready for OpenVINO takes longer than all of these.
    patch = pytest.MonkeyPatch()
    patch.setattr(backends, "best_backend", lambda _device: backends.Backend.TORCH)

    def call(first, second, *more):
        versions = ("compare", "gland", first, second)
        return main(["models", "--models", str(root / "model"), *versions, *folders, *more])

    yield call
    patch.undo()


def test_compare_prints_the_table_and_why_the_candidate_would_wait(compared, capsys):
    assert compared("planted", "noise") == 0
    out = capsys.readouterr().out
    assert out.startswith("champion planted, candidate noise")
    assert "wait: parotid_gland: mean DSC 0.000, the champion's 0.8" in out
    assert "wait: compared on 1 validation patients, at least 3 are needed" in out


def test_compare_as_json_has_table_and_scores(compared, capsys):
    assert compared("noise", "planted", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    (row,) = found["comparison"]["rows"]
    assert (row["structure"], row["patients"], row["champion_dsc"]) == ("parotid_gland", 1, 0.0)
    assert row["candidate_dsc"] > 0.8
    (score,) = found["scores"]
    assert (score["case"], score["champion_dsc"]) == ("head", 0.0)
