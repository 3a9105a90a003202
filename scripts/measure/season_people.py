"""Who works in a season, each with a stock client: reader 1, the senior, and one who only looks."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import requests
import SimpleITK as sitk
from monailabel.client import MONAILabelClient
from scripts.measure.season_heads import Labels
from scripts.measure.stock_clients import reviewer_library, slicer_library

from parotid_brachy.lib.anatomy import STRUCTURES, Side
from parotid_brachy.lib.imaging.label_encoding import nrrd_bytes
from parotid_brachy.lib.imaging.volume import Grid, to_image

READER: Final = "anna"
SENIOR: Final = "sofia"
_LABEL_INFO: Final = [{"name": s.name, "idx": s.value} for s in STRUCTURES]
_ANSWER_S: Final = 60.0


class ReaderOne:
    """Reader 1 in 3D Slicer.

    Args:
        url: of the server.
        folder: for files that go to and fro.
    """

    def __init__(self, url: str, folder: Path) -> None:
        self._folder = folder
        self._client = slicer_library().MONAILabelClient(url, str(folder), client_id=READER)

    def asks_for_draft(self, task: str, case: str, side: Side) -> Path:
        """Runs a model on a case of that side; the server keeps the draft."""
        options = {"side": side.value, "result_extension": ".nrrd"}
        file, _ = self._client.infer(task, case, options)
        return Path(file)

    def submits(self, case: str, labels: Labels, grid: Grid) -> None:
        """Submits contours as Slicer exports them."""
        path = self._folder / "labelmap.nii.gz"
        sitk.WriteImage(to_image(labels, grid), str(path), useCompression=True)
        self._client.save_label(case, str(path), params={"label_info": _LABEL_INFO})


class Senior:
    """The senior reader with MONAI Label's Reviewer, and its train button.

    Args:
        url: of the server.
        folder: for files that go to and fro.
    """

    def __init__(self, url: str, folder: Path) -> None:
        self._folder = folder
        self._client = slicer_library().MONAILabelClient(url, str(folder), client_id=SENIOR)
        self._controller = reviewer_library().ImageDataController()
        if not self._controller.connectToMonaiServer(url):
            message = f"the Reviewer cannot connect to {url}"
            raise RuntimeError(message)

    def approves(self, case: str, tag: str = "final") -> None:
        """Says that a version is right (the module's ``updateLabelInfo``)."""
        image_data = self._image_data(case)
        image_data.updateSegmentationMetaByVerionTag(
            tag=tag, status="approved", level="medium", approvedBy=SENIOR, comment=""
        )
        self._controller.updateLabelInfoOfAllVersionTags(
            imageData=image_data,
            versionTag=tag,
            level="medium",
            updatedMetaJson=image_data.getMetaByVersionTag(tag=tag),
        )

    def corrects(self, case: str, labels: Labels, grid: Grid) -> str:
        """Saves a new version (``updateAfterEditingSegmentation``); returns its tag."""
        image_data = self._image_data(case)
        tag = str(image_data.getNewVersionName())
        image_data.updateSegmentationMetaByVerionTag(
            tag=tag, status="", level="medium", approvedBy=SENIOR, comment="corrected"
        )
        path = self._folder / "edited.seg.nrrd"
        path.write_bytes(nrrd_bytes(labels, grid, segments=STRUCTURES))
        params = image_data.obtainUpdatedParams(tag)
        self._controller.saveLabelInMonaiServer(case, str(path), tag, params)
        return tag

    def starts_training(self, task: str, options: dict[str, Any]) -> str:
        """Starts a training as 3D Slicer's button does; returns the job's id."""
        return str(self._client.train_start(task, options)["id"])

    def _image_data(self, case: str) -> Any:
        if not self._controller.initMetaDataProcessing():
            message = "the Reviewer cannot list the cases"
            raise RuntimeError(message)
        return self._controller.getMultImageDataByIds([case])[case]


@dataclass
class Seen:
    """What the onlooker was answered.

    Attributes:
        seconds: of each answer.
        versions: how many answers each model version has given (of two steps, each pair).
        failures: in words.
    """

    seconds: list[float] = field(default_factory=list)
    versions: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


class Onlooker(threading.Thread):
    """Asks for pre-labels of a case again and again, with MONAI Label's Python client.

    Args:
        url: of the server.
        task: that is asked for.
        case: whose drafts are not kept.
        side: of its cancer.
        folder: for the answers.
        pause_s: between an answer and the next request.
    """

    def __init__(
        self, url: str, task: str, case: str, side: Side, *, folder: Path, pause_s: float
    ) -> None:
        super().__init__(name="onlooker", daemon=True)
        self.seen = Seen()
        self._client = MONAILabelClient(url, tmpdir=str(folder), client_id=READER)
        self._task, self._case = task, case
        self._options = {"side": side.value, "save_label": False, "result_extension": ".nrrd"}
        self._pause_s = pause_s
        self._over = threading.Event()

    def __enter__(self) -> Onlooker:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        """Asks until it is over."""
        while not self._over.is_set():
            began = time.perf_counter()
            try:
                file, told = self._client.infer(self._task, self._case, dict(self._options))
                self.seen.seconds.append(time.perf_counter() - began)
                names = " ".join(sorted(told["report"]["models"].values()))
                self.seen.versions[names] = self.seen.versions.get(names, 0) + 1
                with contextlib.suppress(TypeError, OSError):
                    Path(file).unlink()
            except Exception as error:  # noqa: BLE001 (whatever it is, it is counted)
                self.seen.failures.append(f"{type(error).__name__}: {error}"[:500])
            self._over.wait(self._pause_s)


def answer_of(url: str, path: str) -> Any:
    """What the server answers to a ``GET``, as JSON."""
    answer = requests.get(f"{url}{path}", timeout=_ANSWER_S)
    answer.raise_for_status()
    return answer.json()
