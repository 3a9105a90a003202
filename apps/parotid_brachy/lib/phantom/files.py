"""A phantom as files: image as NIfTI or DICOM, truth as NIfTI, report as JSON."""

from __future__ import annotations

import enum
import json
from pathlib import Path

import SimpleITK as sitk

from parotid_brachy.lib.imaging.atomic import write_atomically
from parotid_brachy.lib.imaging.files import write_label_map
from parotid_brachy.lib.imaging.volume import Volume, to_image
from parotid_brachy.lib.phantom.dicom_series import write_series
from parotid_brachy.lib.phantom.draw import Phantom

LABELS_FOLDER = "labels"


class ImageFormat(enum.Enum):
    """How the image is stored."""

    NIFTI = "nifti"
    DICOM = "dicom"


def write_phantom(phantom: Phantom, folder: Path, image_format: ImageFormat) -> Path:
    """Writes one phantom; the image comes last, so that an image is never without its truth.

    ``<case>.nii.gz`` or ``<case>/*.dcm``; ``labels/{left,right}_{full,roi17}/<case>.nii.gz`` and
    ``labels/<case>.json``.

    Args:
        phantom: what to write.
        folder: made where it is missing.
        image_format: of the image; the truth is always NIfTI.

    Returns:
        The image's file or folder.

    Raises:
        OSError: the folder cannot be written to.
    """
    case = phantom.volume.case
    labels = folder / LABELS_FOLDER
    for side, maps in phantom.truth.items():
        for extent, truth in maps.items():
            place = labels / f"{side.value}_{extent.value}"
            place.mkdir(parents=True, exist_ok=True)
            write_label_map(place / f"{case}.nii.gz", truth, phantom.volume.grid)
    text = json.dumps(phantom.report.to_json(), indent=2) + "\n"
    write_atomically(labels / f"{case}.json", text.encode())
    if image_format is ImageFormat.DICOM:
        return write_series(phantom.volume, folder / case, seed=phantom.report.recipe.seed)
    return _write_nifti(phantom.volume, folder / f"{case}.nii.gz")


def _write_nifti(volume: Volume, path: Path) -> Path:
    unfinished = path.with_name(f".{path.name}")
    image = to_image(volume.voxels, volume.grid)
    sitk.WriteImage(image, str(unfinished), useCompression=True, compressionLevel=1)
    unfinished.replace(path)
    return path
