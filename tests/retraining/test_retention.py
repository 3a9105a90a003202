import shutil

import pytest
from tests.review.studies import ADMIN, open_desk
from tests.segmentation.versions import untrained_registry

from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.retraining.retention import prune, prune_with_entry
from parotid_brachy.lib.segmentation.presets import Step


@pytest.fixture
def registry(tmp_path):
    """Champion ``a``, after it ``b``, which was rolled back, and candidates ``c``, ``d``, ``e``."""
    registry = untrained_registry(tmp_path / "model", steps=(Step.GLAND,), name="a")
    root = registry.root / "gland"
    for name in "bcde":
        shutil.copytree(root / "a", root / name)
        manifest = root / name / "manifest.json"
        text = manifest.read_text()
        created = registry.version(Step.GLAND, "a").manifest["created"]
        manifest.write_text(text.replace(created, f"2099-01-0{ord(name) - 96}T00:00:00Z"))
    registry.promote(Step.GLAND, "b")
    registry.rollback(Step.GLAND)
    return registry


def names(registry):
    return {version.name for version in registry.versions(Step.GLAND)}


def test_champions_of_all_times_and_the_newest_candidates_stay(registry):
    (done,) = prune(registry, 1)
    assert done.removed == ("c", "d")
    assert {one.name: one.why for one in done.kept} == {
        "a": "serves or has served",
        "b": "serves or has served",
        "e": "one of the newest 1 candidates",
    }
    assert names(registry) == {"a", "b", "e"}
    assert registry.champion(Step.GLAND).name == "a"
    assert not list(registry.root.glob("gland/.*removed"))


def test_a_rehearsal_removes_nothing_and_says_the_same(registry):
    (rehearsed,) = prune(registry, 0, dry_run=True)
    assert names(registry) == set("abcde")
    (done,) = prune(registry, 0)
    assert (rehearsed.removed, rehearsed.kept) == (done.removed, done.kept)
    assert done.removed == ("c", "d", "e")


def test_what_a_killed_promotion_was_about_stays(registry):
    details = '{"step": "gland", "version": "c", "before": "a", "promotion": "x"}'
    intent = f'{{"action": "promote_model", "actor": "x", "role": "admin", "details": {details}}}'
    (registry.root / "gland" / "promotion.json").write_text(intent)
    (done,) = prune(registry, 0)
    assert done.removed == ("d", "e")


def test_what_was_half_removed_goes_at_the_next_time(registry):
    left = registry.root / "gland" / ".c.removed"
    shutil.copytree(registry.root / "gland" / "c", left)
    prune(registry, 0)
    assert not left.exists()
    assert names(registry) == {"a", "b"}


def test_a_registry_of_before_there_was_a_list_keeps_its_history(registry):
    (registry.root / "gland" / "champion.json").write_text('{"history": ["c", "a"]}')
    assert registry.ever_served(Step.GLAND) == {"c", "a"}
    (done,) = prune(registry, 0)
    assert done.removed == ("b", "d", "e")


def test_removing_is_journalled_once(registry, tmp_path):
    desk = open_desk(tmp_path / "studies", cases=())
    prune_with_entry(registry, desk.store, 2, ADMIN)
    entry = desk.store.journal()[-1]
    assert (entry.action, entry.actor) == ("prune_models", "adam")
    assert entry.details == {"removed": {"gland": ["c"]}, "keep": 2}
    length = desk.store.journal_length()
    prune_with_entry(registry, desk.store, 2, ADMIN)
    assert desk.store.journal_length() == length
    desk.store.close()


def test_a_negative_number_is_refused(registry):
    with pytest.raises(UsageError, match="-1"):
        prune(registry, -1)
