"""A grading study's folder: what graders may know, and apart from it the key that unmasks.

``study.json`` and the files of items say nothing of cases and methods. ``key.json`` does; only its
owner may read it, and it is opened when the study is closed, for the report. ``study.json`` holds
the key's SHA-256, so that a key which was changed meanwhile is found out.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

from parotid_brachy.lib.anatomy import Structure, structure_named
from parotid_brachy.lib.errors import NotFoundError, StoreError, UsageError
from parotid_brachy.lib.imaging.atomic import write_atomically

CONTROL: Final = "manual"
"""The method that the references are shown as."""
STUDY_FILE: Final = "study.json"
KEY_FILE: Final = "key.json"
GRADES_FILE: Final = "grades.sqlite"

_FORMAT: Final = "parotid-brachy grading study 2"
_KEY_FORMAT: Final = "parotid-brachy grading key 1"
_OLDER: Final = frozenset({"parotid-brachy grading study 1"})
_MOST_BYTES: Final = 64 * 2**20
_ID: Final = re.compile(r"[0-9a-f]{32}")
_PLANES: Final = frozenset({"axial", "coronal", "sagittal"})
_OWNER_ONLY: Final = 0o600


@dataclass(frozen=True)
class Item:
    """One label map of one case, masked.

    Attributes:
        id: random.
        image: id of the case's image; the same for all items of a case.
        pictures: the plane of each picture, in their order.
        contoured: names of the structures that the map has.
        sha256: of the masked map's file.
    """

    id: str
    image: str
    pictures: tuple[str, ...]
    contoured: tuple[str, ...]
    sha256: str


@dataclass(frozen=True)
class Study:
    """What graders may know of a study.

    Attributes:
        folder: where it lies.
        graders: names.
        structures: what is graded, in this order.
        items: by id.
        orders: ids of all items, in each grader's order.
        key_sha256: of the key's file.
    """

    folder: Path
    graders: tuple[str, ...]
    structures: tuple[Structure, ...]
    items: Mapping[str, Item]
    orders: Mapping[str, tuple[str, ...]]
    key_sha256: str

    def order_of(self, grader: str) -> tuple[str, ...]:
        """Ids of all items in a grader's order.

        Raises:
            UsageError: nobody of that name grades in this study.
        """
        if grader not in self.orders:
            message = f"{grader[:64]!r} is no grader of this study"
            raise UsageError(message)
        return self.orders[grader]

    def item(self, name: str) -> Item:
        """The item of an id.

        Raises:
            NotFoundError: there is none.
        """
        found = self.items.get(name)
        if found is None:
            message = f"item {name[:40]!r}: this study has none of that id"
            raise NotFoundError(message)
        return found

    def structure(self, name: str) -> Structure:
        """A graded structure by its name.

        Raises:
            UsageError: it is not graded in this study.
        """
        for structure in self.structures:
            if structure.name == name:
                return structure
        known = ", ".join(structure.name for structure in self.structures)
        message = f"structure {name[:40]!r}: this study grades {known}"
        raise UsageError(message)

    def map_of(self, item: Item) -> Path:
        """The file of an item's masked label map."""
        return self.folder / "items" / f"{item.id}.nii"

    def image_of(self, item: Item) -> Path:
        """The file of the part of the CT that an item's map lies on."""
        return self.folder / "images" / f"{item.image}.nii.gz"

    def picture_of(self, item: Item, number: int) -> Path:
        """The file of an item's picture, the first being 0.

        Raises:
            NotFoundError: there are not as many.
        """
        if not 0 <= number < len(item.pictures):
            message = f"picture {number}: the item has {len(item.pictures)}, counted from 0"
            raise NotFoundError(message)
        return self.folder / "pictures" / f"{item.id}-{number:02d}.png"


@dataclass(frozen=True)
class Masked:
    """What an item is."""

    case: str
    method: str


@dataclass(frozen=True)
class StudyKey:
    """What unmasks a study.

    Attributes:
        secret: from which the orders were drawn, hexadecimal.
        methods: in the order given, the control last.
        items: by id.
    """

    secret: str
    methods: tuple[str, ...]
    items: Mapping[str, Masked]


def write_study(study: Study, key: StudyKey) -> None:
    """Writes both files into the study's folder, the study last: without it there is none.

    ``study.key_sha256`` is not read: it is that of the key which is written.

    Raises:
        OSError: the folder cannot be written to.
    """
    content = _json(
        {
            "format": _KEY_FORMAT,
            "secret": key.secret,
            "methods": key.methods,
            "items": {name: asdict(key.items[name]) for name in sorted(key.items)},
        }
    )
    write_atomically(study.folder / KEY_FILE, content, mode=_OWNER_ONLY)
    told = {
        "format": _FORMAT,
        "graders": study.graders,
        "structures": [structure.name for structure in study.structures],
        # By id: the order in which they were made says something of the methods.
        "items": [asdict(study.items[name]) for name in sorted(study.items)],
        "orders": study.orders,
        "key_sha256": hashlib.sha256(content).hexdigest(),
    }
    write_atomically(study.folder / STUDY_FILE, _json(told))


def read_study(folder: Path) -> Study:
    """Reads what graders may know.

    Raises:
        NotFoundError: the folder holds no study.
        StoreError: its file is damaged, or an older program made it.
    """
    path = folder / STUDY_FILE
    told = _read(path, _FORMAT)
    try:
        items = [
            Item(
                _checked_id(one["id"]),
                _checked_id(one["image"]),
                tuple(map(_checked_plane, one["pictures"])),
                tuple(map(str, one["contoured"])),
                str(one["sha256"]),
            )
            for one in told["items"]
        ]
        study = Study(
            folder,
            tuple(map(str, told["graders"])),
            tuple(structure_named(name) for name in told["structures"]),
            {item.id: item for item in items},
            {str(name): tuple(map(str, ids)) for name, ids in told["orders"].items()},
            str(told["key_sha256"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        _damaged(path, error)
    names = sorted(study.items)
    if set(study.orders) != set(study.graders) or any(
        sorted(order) != names for order in study.orders.values()
    ):
        _damaged(path, "an order has not every item once")
    return study


def read_key(study: Study) -> StudyKey:
    """Reads what unmasks; nobody needs it before the study is closed.

    Raises:
        NotFoundError: it is missing.
        StoreError: it is damaged, not readable, or not the one that the study was made with.
    """
    path = study.folder / KEY_FILE
    told = _read(path, _KEY_FORMAT, sha256=study.key_sha256)
    try:
        key = StudyKey(
            str(told["secret"]),
            tuple(map(str, told["methods"])),
            {
                str(name): Masked(str(one["case"]), str(one["method"]))
                for name, one in told["items"].items()
            },
        )
    except (KeyError, TypeError, AttributeError) as error:
        _damaged(path, error)
    if set(key.items) != set(study.items):
        _damaged(path, "its items are not the study's")
    return key


def _json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode()


def _read(path: Path, kind: str, *, sha256: str | None = None) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            _damaged(path, "it is too large")
        content = path.read_bytes()
        if sha256 is not None and not hmac.compare_digest(
            hashlib.sha256(content).hexdigest(), sha256
        ):
            _damaged(path, "it is not the one that the study was made with")
        told = json.loads(content)
    except (FileNotFoundError, NotADirectoryError) as error:
        message = f"{path.parent.name}: no grading study here ({path.name} is missing)"
        raise NotFoundError(message) from error
    except (OSError, ValueError, RecursionError) as error:
        _damaged(path, error)
    if isinstance(told, dict) and told.get("format") in _OLDER:
        message = (
            f"{path.parent.name}: an older program made this grading study, whose files tell where "
            "the patient lay in the scanner. Finish it with that program, or make it anew"
        )
        raise StoreError(message)
    if not isinstance(told, dict) or told.get("format") != kind:
        _damaged(path, f"it is no {kind}")
    return told


def _damaged(path: Path, why: object) -> NoReturn:
    message = f"{path.parent.name}/{path.name}: damaged or not readable ({why}). Restore it"
    raise StoreError(message)


def _checked_id(value: object) -> str:
    if not isinstance(value, str) or not _ID.fullmatch(value):
        message = f"{str(value)[:40]!r} is no id"
        raise ValueError(message)
    return value


def _checked_plane(value: object) -> str:
    if not isinstance(value, str) or value not in _PLANES:
        message = f"{str(value)[:40]!r} is no plane"
        raise ValueError(message)
    return value
