import json

import pytest
from tests.segmentation.versions import untrained_registry, write_untrained

from parotid_brachy.lib.cli import models
from parotid_brachy.lib.cli.main import main
from parotid_brachy.lib.review.store import VersionStore
from parotid_brachy.lib.segmentation.presets import Step
from parotid_brachy.lib.segmentation.registry import PLANS, Registry


@pytest.fixture
def root(tmp_path):
    return untrained_registry(tmp_path / "my models", name="first").root


@pytest.fixture
def call(root):
    return lambda *arguments: main(["models", "--models", str(root), *arguments])


def test_the_list_marks_the_champions(call, root, tmp_path, capsys):
    Registry(root).add(write_untrained(tmp_path / "draft", Step.GLAND), name="second")
    assert call("list") == 0
    rows = [line.split()[:-1] for line in capsys.readouterr().out.splitlines()]
    assert sorted(rows) == [
        ["*", "gland", "first", "compact"],
        ["*", "organs_at_risk", "first", "compact"],
        ["gland", "second", "compact"],
    ]


def test_the_list_as_json_holds_the_manifests(call, capsys):
    assert call("list", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["step"], row["version"], row["champion"]) for row in rows] == [
        ("gland", "first", True),
        ("organs_at_risk", "first", True),
    ]
    assert rows[0]["manifest"]["preset"] == "compact"


def test_an_empty_registry_says_so(tmp_path, capsys):
    assert main(["models", "--models", str(tmp_path), "list"]) == 0
    assert capsys.readouterr().out == f"no versions in {tmp_path}\n"


def test_a_champion_that_is_gone_does_not_hide_the_other_versions(call, root, tmp_path, capsys):
    registry = Registry(root)
    registry.add(write_untrained(tmp_path / "draft", Step.GLAND), name="second")
    import shutil

    shutil.rmtree(root / "gland" / "first")
    assert call("list") == 0
    assert "second" in capsys.readouterr().out


def test_verify_tells_every_version_and_fails_if_one_is_damaged(call, root, capsys):
    assert call("verify") == 0
    assert capsys.readouterr().out.splitlines() == [
        "ok      gland/first",
        "ok      organs_at_risk/first",
    ]
    with (root / "gland" / "first" / PLANS).open("a") as stream:
        stream.write(" ")
    assert call("verify") == 1
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("REFUSED gland/first: plans.json is ")
    assert second == "ok      organs_at_risk/first"


def test_add_promote_and_roll_back(call, root, tmp_path, capsys):
    draft = write_untrained(tmp_path / "draft", Step.GLAND, seed=3)
    assert call("add", str(draft), "--name", "second") == 0
    assert call("promote", "gland", "second") == 0
    assert Registry(root).champion(Step.GLAND).name == "second"
    assert call("rollback", "gland") == 0
    assert Registry(root).champion(Step.GLAND).name == "first"
    assert capsys.readouterr().out.splitlines() == [
        "gland/second",
        "gland is now served by second",
        "gland is now served by first",
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("rollback", "gland"), 2, "no earlier champion"),
        (("promote", "gland", "third"), 1, "no version 'third' of gland; there are: first"),
        (("promote", "gland", "../organs_at_risk/first"), 1, "no version"),
        (("promote", "heart", "first"), 2, "invalid choice"),
        (("add", "nowhere", "--name", "x"), 1, "holds no manifest.json"),
        ((), 2, "ACTION"),
    ],
)
def test_what_cannot_be_done_is_said_with_its_exit_code(call, capsys, arguments, code, message):
    assert call(*arguments) == code
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""


def test_a_name_that_leads_elsewhere_is_a_wrong_call(call, tmp_path, capsys):
    draft = write_untrained(tmp_path / "draft", Step.GLAND)
    assert call("add", str(draft), "--name", "../x") == 2
    assert "version name '../x'" in capsys.readouterr().err


def test_the_apps_own_registry_is_the_default():
    assert models.SHIPPED.name == "model"
    assert (models.SHIPPED.parent / "lib" / "cli" / "models.py").is_file()


def test_prune_removes_old_candidates_and_tells_the_journal(call, root, tmp_path, capsys):
    for number in range(3):
        call("add", str(root / "gland" / "first"), "--name", f"candidate{number}")
    studies = tmp_path / "studies"
    VersionStore.open(studies / ".parotid").close()
    capsys.readouterr()
    assert call("prune", "--keep", "1", "--dry-run") == 0
    out = capsys.readouterr().out
    assert out.count("would go") == 2
    assert len(list((root / "gland").glob("candidate*"))) == 3
    assert call("prune", "--keep", "1", "--studies", str(studies)) == 0
    assert capsys.readouterr().out.count("removed") == 2
    assert "gland/first: serves or has served" in out
    assert len(list((root / "gland").glob("candidate*"))) == 1
    store = VersionStore.open(studies / ".parotid")
    entry = store.journal()[-1]
    store.close()
    assert entry.action == "prune_models"
    assert len(entry.details["removed"]["gland"]) == 2


def test_prune_without_studies_removes_as_well(call, root, capsys):
    call("add", str(root / "gland" / "first"), "--name", "candidate")
    assert call("prune", "--keep", "0") == 0
    assert "gland/candidate: removed" in capsys.readouterr().out
    assert call("prune", "--keep", "-1") == 2
