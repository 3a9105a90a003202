"""``contours``: what a case has already, for clients that can run models and nothing else.

OHIF loads no label maps of the server's. By this task a senior sees there what reader 1 submitted,
and reader 1 goes on with what came back.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from parotid_brachy.lib.anatomy import STRUCTURES
from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.imaging.files import read_grid, read_label_map
from parotid_brachy.lib.infers.options import parse_options
from parotid_brachy.lib.infers.task import Draft, LabelMapTask


class ContoursTask(LabelMapTask):
    """The newest label map of a case that the reader who asks may see; runs no network."""

    name = "contours"
    summary = "The case's newest contours, else its newest draft; runs no network"
    structures = STRUCTURES
    shows_contours = True

    def is_valid(self) -> bool:
        """Always: it needs no model."""
        return True

    def config(self) -> dict[str, Any]:
        """No options."""
        return {}

    def draft(self, request: Mapping[str, Any]) -> Draft:
        """The label map of a request, on its image's grid.

        Raises:
            UsageError: it is for no case.
            InputRefusedError, GeometryError: the file is damaged, or another image's.
        """
        ending = parse_options(request).ending
        if not request.get("label"):
            message = "contours are kept for cases: name one (image), do not upload a file"
            raise UsageError(message)
        grid = read_grid(Path(request["image"]))
        labels = read_label_map(Path(request["label"]), grid)
        told = {"label_names": self.names_in(labels)}
        return Draft(labels, grid, self.structures, ending, told)
