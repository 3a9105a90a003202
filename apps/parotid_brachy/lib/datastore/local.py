"""A folder of studies as MONAI Label keeps it, safe for threads and for a sudden end.

The framework's class relies on its event loop to serve one request at a time, and rewrites its
list of cases in place. Ours are served in threads, beside the thread that watches the folder.
"""

from __future__ import annotations

import functools
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from filelock import FileLock
from monailabel.datastore.local import LocalDatastore

_ONE_AT_A_TIME: Final = (
    "add_image",
    "datalist",
    "get_image_info",
    "get_image_uri",
    "get_label_info",
    "get_label_uri",
    "get_labeled_images",
    "get_labels_by_image_id",
    "get_unlabeled_images",
    "json",
    "list_images",
    "refresh",
    "remove_image",
    "remove_label",
    "save_label",
    "set_description",
    "set_name",
    "status",
    "update_image_info",
    "update_label_info",
    "_init_from_datastore_file",
    "_reconcile_datastore",
)


def _one_at_a_time(cls: type[StudiesFolder]) -> type[StudiesFolder]:
    """Puts the instance's lock round each method that reads or changes the list of cases."""
    for name in _ONE_AT_A_TIME:
        setattr(cls, name, _locked(getattr(LocalDatastore, name)))
    return cls


def _locked(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(self: StudiesFolder, *args: Any, **kwargs: Any) -> Any:
        with self._guard:
            return method(self, *args, **kwargs)

    return call


@_one_at_a_time
class StudiesFolder(LocalDatastore):
    """Images where the user put them, labels in ``labels/<tag>/``, the list in a JSON file."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._guard = threading.RLock()
        super().__init__(*args, **kwargs)

    def _update_datastore_file(self, lock: bool = True) -> None:
        """Replaces the list whole, so that it is never found half written or empty."""
        with self._guard:
            if lock:
                with FileLock(self._lock_file):
                    self._replace_list()
            else:
                self._replace_list()

    def _replace_list(self) -> None:
        path = Path(self._datastore_config_path)
        content = self._datastore.model_dump(exclude={"base_path"})
        partial = path.with_name(f".{path.name}.partial")
        with partial.open("w") as out:
            json.dump(content, out, indent=2, default=str)
            out.flush()
            os.fsync(out.fileno())
        partial.replace(path)
        self._config_ts = path.stat().st_mtime
