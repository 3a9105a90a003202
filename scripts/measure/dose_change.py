"""What a correction changes in Gray: seconds until a server says so, for two versions of a case.

A phantom's head of 512 x 512 x 130 voxels of 0.98 x 0.98 x 2 mm with all seven structures as
initial contours, corrected by a senior; under 60 seeds that were uploaded, and under a plan that
the server makes for study purposes. Asked by HTTP: *cold* is the first question after the server's
start, *warm* the median of those after it.

    scripts/measure/run dose_change --output DIR
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import requests
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage
from scripts.measure.benchmark_head import OPERATED, Head, draw_head
from scripts.measure.servers import ServerProcess, Serving
from scripts.measure.tables import markdown, write_csv

from parotid_brachy.lib.anatomy import GLAND, STRUCTURES
from parotid_brachy.lib.datastore.studies import Studies
from parotid_brachy.lib.dosimetry.plan import Seed, SeedPlan
from parotid_brachy.lib.dosimetry.seeds_file import seeds_csv
from parotid_brachy.lib.imaging.label_encoding import nifti_bytes
from parotid_brachy.lib.imaging.volume import to_image
from parotid_brachy.lib.review.roles import Reader, Role
from parotid_brachy.lib.review.workflow import Received

_CASE: Final = "head"
_SEEDS: Final = 60
_NAMES: Final = [{"name": one.name, "idx": one.value} for one in STRUCTURES]
_ANNOTATOR: Final = Reader("reader", Role.ANNOTATOR)
_SENIOR: Final = Reader("senior", Role.REVIEWER)


def main() -> None:
    """Measures, and writes a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=9, help="warm questions (default: 9)")
    parser.add_argument("--starts", type=int, default=3, help="of the server (default: 3)")
    parser.add_argument("--matrix", type=int, default=512, help="fewer to try it out")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    head = draw_head(options.matrix)
    rows = []
    for plan in ("60 seeds, uploaded", "made for study purposes"):
        with tempfile.TemporaryDirectory() as folder:
            studies = Path(folder) / "studies"
            studies.mkdir()
            _fill(studies, head, has_plan=plan != "made for study purposes")
            rows.append(_measure(Path(folder), plan, options.starts, options.repeats))
    write_csv(options.output / "dose_change.csv", rows)
    print(markdown(rows))


def _fill(folder: Path, head: Head, *, has_plan: bool) -> None:
    """A folder of studies with initial contours, a correction of every border, and a plan."""
    image = to_image(head.volume.voxels, head.volume.grid)
    sitk.WriteImage(image, str(folder / f"{_CASE}.nii.gz"), useCompression=True)
    studies = Studies(folder)
    initial = head.truth[OPERATED]
    for labels, reader in ((initial, _ANNOTATOR), (_corrected(initial), _SENIOR)):
        content = nifti_bytes(labels, head.volume.grid)
        studies.workflow.save(_CASE, Received(content, "map.nii.gz", _NAMES), reader)
    if has_plan:
        studies.doses.keep_plan(_CASE, seeds_csv(_plan(head, initial)), ".csv", _SENIOR)
    studies.store.close()


def _corrected(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Every structure without the voxels of its border within a slice."""
    result = np.zeros_like(labels)
    plane = ndimage.generate_binary_structure(2, 1)[None]
    for one in STRUCTURES:
        result[ndimage.binary_erosion(labels == one.value, plane)] = one.value
    return result


def _plan(head: Head, labels: NDArray[np.uint8]) -> SeedPlan:
    """Seeds at voxels of the gland; close together where it is small, which costs no less."""
    random = np.random.default_rng(0)
    kji = np.argwhere(labels == GLAND.value)
    chosen = kji[random.choice(len(kji), _SEEDS, replace=False)]
    places = head.volume.grid.to_lps_mm(chosen[:, ::-1].astype(np.float64)).tolist()
    return SeedPlan(
        "measured", "6711", tuple(Seed((x, y, z), 0.889, (1.0, 0.0, 0.0)) for x, y, z in places)
    )


def _measure(folder: Path, plan: str, starts: int, repeats: int) -> dict[str, Any]:
    models = folder / "models"
    models.mkdir()
    server = ServerProcess(Serving(folder / "studies", models, folder / "server.log"))
    cold, warm, found = [], [], {}
    for _ in range(starts):
        server.start()
        try:
            server.wait_until_ready()
            seconds, found = _ask(server.url)
            cold.append(seconds)
            warm += [_ask(server.url)[0] for _ in range(repeats)]
        finally:
            server.stop()
    lines = found["structures"]
    return {
        "plan": plan,
        "seeds": found["plan"]["seeds"],
        "structures": len(lines),
        "volume, ml": round(sum(one["before"]["volume_ml"] or 0.0 for one in lines), 1),
        "cold, s": round(statistics.median(cold), 3),
        "slowest cold, s": round(max(cold), 3),
        "warm, s": round(statistics.median(warm), 3),
        "slowest warm, s": round(max(warm), 3),
    }


def _ask(url: str) -> tuple[float, dict[str, Any]]:
    start = time.perf_counter()
    answer = requests.get(f"{url}/review/cases/{_CASE}/dose", timeout=600)
    seconds = time.perf_counter() - start
    answer.raise_for_status()
    return seconds, answer.json()


if __name__ == "__main__":
    main()
