import json
import threading

import numpy as np
import pytest
import SimpleITK as sitk
from monailabel.datastore.local import LocalDatastore

from parotid_brachy.lib.datastore.local import StudiesFolder


@pytest.fixture
def studies(tmp_path):
    image = sitk.GetImageFromArray(np.zeros((2, 3, 4), np.int16))
    for name in ("case_a", "case b"):
        sitk.WriteImage(image, str(tmp_path / f"{name}.nii.gz"))
    return tmp_path


def test_the_images_of_a_folder_are_its_cases(studies):
    assert sorted(StudiesFolder(str(studies)).list_images()) == ["case b", "case_a"]


def test_the_list_on_disk_is_always_whole(studies, monkeypatch):
    folder = StudiesFolder(str(studies))
    listed = studies / "datastore_v2.json"
    before = json.loads(listed.read_text())
    monkeypatch.setattr("os.fsync", _power_cut)
    with pytest.raises(OSError, match="power"):
        folder.update_image_info("case_a", {"note": "x"})
    assert json.loads(listed.read_text()) == before


def _power_cut(_descriptor):
    message = "power cut"
    raise OSError(message)


def test_a_reader_waits_until_the_list_is_whole_again(studies, monkeypatch):
    folder = StudiesFolder(str(studies))
    half_way, go_on = threading.Event(), threading.Event()

    def slow_look(self):
        objects = dict(self._datastore.objects)
        self._datastore.objects.clear()
        half_way.set()
        go_on.wait(10)
        self._datastore.objects.update(objects)
        return 0

    monkeypatch.setattr(LocalDatastore, "_remove_non_existing", slow_look)
    seen = []
    looking = threading.Thread(target=folder.refresh)
    reading = threading.Thread(target=lambda: seen.append(len(folder.list_images())))
    looking.start()
    half_way.wait(10)
    reading.start()
    reading.join(0.2)  # long enough for a reader that does not wait
    go_on.set()
    looking.join()
    reading.join()
    assert seen == [2]


def test_labels_saved_at_the_same_time_are_all_kept(studies):
    folder = StudiesFolder(str(studies))
    label = studies / "upload.txt.nii.gz"
    sitk.WriteImage(sitk.GetImageFromArray(np.ones((2, 3, 4), np.uint8)), str(label))
    tags = [f"version_{n}" for n in range(12)]

    def save(tag):
        folder.save_label("case_a", str(label), tag, {})

    threads = [threading.Thread(target=save, args=(tag,)) for tag in tags]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(StudiesFolder(str(studies)).get_labels_by_image_id("case_a")) == sorted(tags)
