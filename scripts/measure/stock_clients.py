"""The stock clients' own code, out of the plugins that MONAI Label installs."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Final

_PLUGINS: Final = Path(sys.prefix) / "monailabel" / "plugins" / "slicer"


@functools.cache
def slicer_library() -> ModuleType:
    """The client's module of the 3D Slicer plugin."""
    path = _PLUGINS / "MONAILabel" / "MONAILabelLib" / "client.py"
    spec = importlib.util.spec_from_file_location("slicer_monailabel_client", path)
    if spec is None or spec.loader is None:
        message = f"{path}: no such plugin; install monailabel"
        raise ImportError(message)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@functools.cache
def reviewer_library() -> ModuleType:
    """The package of the MONAILabelReviewer plugin."""
    folder = str(_PLUGINS / "MONAILabelReviewer")
    sys.path.insert(0, folder)
    try:
        return importlib.import_module("MONAILabelReviewerLib")
    finally:
        sys.path.remove(folder)
