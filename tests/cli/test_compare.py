import csv

import pytest
from tests.segmentation.studies import write_studies

from parotid_brachy.lib.cli.main import main


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    root = tmp_path_factory.mktemp("studies")
    write_studies(root, count=2)
    return root


def call(studies, output, *more):
    return main(
        [
            "compare",
            *("--images", str(studies / "images"), "--labels", str(studies / "labels")),
            *("--output", str(output), *more),
        ]
    )


def test_one_call_trains_labels_and_reports(studies, tmp_path, capfd):
    output = tmp_path / "out"
    options = ("--methods", "unet3d", "--epochs", "1", "--iterations", "1", "--test", "case1")
    assert call(studies, output, *options) == 0
    told = capfd.readouterr()
    assert "unet3d: training one_step: epoch 1/1" in told.err
    assert "report.html: 2 cases, 1 methods" in told.out
    with (output / "cost.csv").open() as file:
        (cost,) = csv.DictReader(file)
    assert float(cost["training_resident_mib"]) > 200
    assert float(cost["labelling_seconds"]) > 0
    page = (output / "report.html").read_text()
    assert "What the methods cost" in page
    assert "case1_left" in page
    assert (output / "metrics.csv").exists()
    assert call(studies, output, *options) == 0
    assert "training" not in capfd.readouterr().err


@pytest.mark.parametrize(
    "wrong",
    [
        ("--epochs", "0"),
        ("--iterations", "-1"),
        ("--test-share", "nan"),
        ("--test-share", "1"),
        ("--seed", "-1"),
        ("--test", "nobody"),
        ("--methods", "atlas"),
    ],
)
def test_a_wrong_call_is_refused_before_anything_is_trained(studies, tmp_path, wrong, capsys):
    assert call(studies, tmp_path / "out", *wrong) == 2
    assert wrong[1] in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_missing_folder_is_named(studies, tmp_path, capsys):
    arguments = ["--images", str(tmp_path / "none"), "--labels", str(studies / "labels")]
    assert main(["compare", *arguments, "--output", str(tmp_path / "out")]) == 1
    assert "none: no such folder" in capsys.readouterr().err
