"""MONAI Label's ``start_server`` with networks that know every structure by its HU.

Everything but the networks is the product's: the server, the adapters, the two steps, the
registry. A head that is painted in these HU (``painted_head``) therefore has one right answer.

While the file ``hold`` lies in the folder that PAROTID_TEST_GATE names, an inference waits in its
first network, and says so by the file ``held``.
"""

import os
import time
from pathlib import Path

import numpy as np
from monailabel.main import Main
from scipy import ndimage

from parotid_brachy.lib.anatomy import STRUCTURES
from parotid_brachy.lib.infers import catalogue

HU_OF = {structure: 100 * structure.value + 100 for structure in STRUCTURES}
_TOLERANCE_HU = 49
_TISSUE_HU = 40
_GATE = Path(os.environ.get("PAROTID_TEST_GATE", os.devnull))


class PaintedModel:
    """What a ``Model`` is to the two steps, with paint instead of a network."""

    spacing_kji_mm = (2.0, 2.0, 2.0)

    def __init__(self, version, device, backend):
        self.version = version
        self.preset = version.preset
        self.name = version.name

    def value_of(self, structure):
        structures = self.preset.structures
        return structures.index(structure) + 1 if structure in structures else None

    def probabilities(self, hu):
        _wait_at_gate()
        # A blob's HU is its brightest nearby; its outline lies where the HU is halfway up to that.
        paint = ndimage.maximum_filter(hu, 5)
        inside = hu > (paint + _TISSUE_HU) / 2
        result = np.zeros((1 + len(self.preset.structures), *hu.shape), np.float32)
        for value, structure in enumerate(self.preset.structures, start=1):
            result[value] = inside & (np.abs(paint - HU_OF[structure]) < _TOLERANCE_HU)
        result[0] = 1 - result[1:].sum(axis=0)
        return result


def _wait_at_gate():
    if (_GATE / "hold").exists():
        (_GATE / "held").touch()
        while (_GATE / "hold").exists():
            time.sleep(0.02)


if __name__ == "__main__":
    catalogue.Model = PaintedModel
    Main().run()
