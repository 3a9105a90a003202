"""What lies in a folder of studies that MONAI Label's own store kept.

Label maps lie in ``labels/<tag>/``; ``datastore_v2.json`` says who made them and what the review
came to. That list is rewritten in place by the framework, so that it is found empty or cut short
after a sudden end; then the files themselves are what there is. Nothing in the folder is changed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

from parotid_brachy.lib.errors import InputRefusedError, UsageError
from parotid_brachy.lib.imaging.stored_image import quoted
from parotid_brachy.lib.review.case_ids import is_case_id
from parotid_brachy.lib.review.found import (
    Complaint,
    Found,
    FoundReview,
    kind_of,
    reader_of,
)
from parotid_brachy.lib.review.naming import OF_A_CLIENT, OF_VALUES
from parotid_brachy.lib.review.received_map import ENDINGS, ending_of
from parotid_brachy.lib.review.records import CORRECTION_PREFIX, Level, ReviewStatus
from parotid_brachy.lib.review.tag_names import order_of

LIST_NAME: Final = "datastore_v2.json"
_LABELS: Final = "labels"
_LONGEST_LIST: Final = 256 * 1024**2
_LONGEST_COMMENT: Final = 4000
_EARLIEST: Final = datetime(1990, 1, 1, tzinfo=timezone.utc).timestamp()
_LATEST: Final = datetime(2200, 1, 1, tzinfo=timezone.utc).timestamp()

Json = dict[str, Any]


@dataclass(frozen=True)
class LegacyFolder:
    """What was found in a folder.

    Attributes:
        found: label maps by case, in the order in which they are to be kept.
        image_info: what was noted about the images, by case.
        complaints: what is left out, and what is missing.
    """

    found: tuple[Found, ...]
    image_info: Mapping[str, Mapping[str, Any]]
    complaints: tuple[Complaint, ...]


def read_legacy_folder(folder: Path) -> LegacyFolder:
    """Looks through a folder of studies of MONAI Label's.

    Args:
        folder: with ``datastore_v2.json``, ``labels/``, or both.

    Raises:
        UsageError: there is neither.
    """
    return _Reading(folder).whole()


class _Reading:
    """One look through a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._complaints: list[Complaint] = []
        self._listed: dict[Path, Found] = {}

    def whole(self) -> LegacyFolder:
        path = self._folder / LIST_NAME
        if not path.exists() and not (self._folder / _LABELS).is_dir():
            message = (
                f"{self._folder}: neither {LIST_NAME} nor {_LABELS}/ is here. "
                "Give a folder of studies that MONAI Label served"
            )
            raise UsageError(message)
        content = self._list(path) if path.exists() else {}
        labels = self._labels_folder(content)
        objects = _object(content.get("objects"))
        image_info: dict[str, Mapping[str, Any]] = {}
        for case, entry in objects.items():
            if not is_case_id(case):
                self._complain(f"{LIST_NAME}: {quoted(case)}", "no case can be called so")
                continue
            image = _object(_object(_object(entry).get("image")).get("info"))
            image_info[case] = {k: v for k, v in image.items() if k not in ("ts", "name", "path")}
            for tag, label in _object(_object(entry).get("labels")).items():
                self._entry(labels, case, tag, _object(label), image)
        unlisted = list(self._unlisted(labels))
        # Under one tag, what is listed is the newest; older files of other endings may lie there.
        found = sorted(
            [*unlisted, *self._listed.values()],
            key=lambda one: (one.case, order_of(one.tag), one.path in self._listed, one.created),
        )
        return LegacyFolder(tuple(found), image_info, tuple(self._complaints))

    def _complain(self, source: str, reason: str) -> None:
        self._complaints.append(Complaint(source, reason))

    def _list(self, path: Path) -> Json:
        """The list's content; nothing, with a complaint, where it is damaged."""
        fault = ""
        try:
            if not path.is_file() or path.stat().st_size > _LONGEST_LIST:
                fault = f"no file of at most {_LONGEST_LIST} bytes"
            else:
                # NaN and infinity are no JSON, whatever Python says.
                content = json.loads(path.read_bytes(), parse_constant=lambda _: None)
                if isinstance(content, dict) and isinstance(content.get("objects"), dict):
                    return content
                fault = "it lists no cases"
        except (OSError, ValueError, RecursionError) as error:
            fault = f"{type(error).__name__}: {str(error)[:200]}"
        self._complain(
            LIST_NAME,
            f"damaged ({fault}): only the files in {_LABELS}/ are taken over, without authors, "
            "names of structures and reviews",
        )
        return {}

    def _labels_folder(self, content: Json) -> Path:
        stated = content.get("labels_dir", _LABELS)
        if not isinstance(stated, str) or not is_case_id(stated):
            self._complain(
                LIST_NAME, f"labels_dir {quoted(stated)} is no folder here; {_LABELS} is taken"
            )
            stated = _LABELS
        return self._folder / stated

    def _entry(self, labels: Path, case: str, tag: str, label: Json, image: Json) -> None:
        source = f"{LIST_NAME}: {case}, {quoted(tag)}"
        if kind_of(tag) is None:
            self._complain(source, "no tag of the clients'; the file is left where it is")
            return
        ending = label.get("ext")
        if not isinstance(ending, str) or ending.lower() not in ENDINGS:
            self._complain(source, f"{quoted(ending)} is no ending of a label map's file")
            return
        path = labels / tag / f"{case}{ending}"
        if not self._is_inside(path):
            self._complain(source, f"there is no file {labels.name}/{tag}/{path.name} in here")
            return
        self._listed[path] = _found(case, tag, path, _object(label.get("info")), image)

    def _unlisted(self, labels: Path) -> Iterator[Found]:
        """Files that lie under the clients' tags and are not listed."""
        if not labels.is_dir():
            return
        for folder in sorted(path for path in labels.iterdir() if path.is_dir()):
            if kind_of(folder.name) is None:
                self._complain(f"{labels.name}/{quoted(folder.name)}", "no tag of the clients'")
                continue
            for path in sorted(folder.iterdir()):
                if path in self._listed or path.name.startswith("."):
                    continue
                found = self._unlisted_file(path, folder.name)
                if found is not None:
                    yield found

    def _unlisted_file(self, path: Path, tag: str) -> Found | None:
        source = f"{path.parent.parent.name}/{tag}/{quoted(path.name)[1:-1]}"
        try:
            case = path.name[: -len(ending_of(path.name))]
        except InputRefusedError:
            self._complain(source, "no label map's file")
            return None
        if not is_case_id(case) or not self._is_inside(path):
            self._complain(source, "no case can be called so, or the file leads out of the folder")
            return None
        return _found(case, tag, path, {}, {})

    def _is_inside(self, path: Path) -> bool:
        """Whether a path is a file of this folder, and no link out of it."""
        try:
            real = path.resolve(strict=True)
            return real.is_file() and real.is_relative_to(self._folder.resolve())
        except (OSError, ValueError, RuntimeError):
            return False


def _found(case: str, tag: str, path: Path, info: Json, image: Json) -> Found:
    created = _time_of(info.get("ts")) or _time_of(path.stat().st_mtime)
    assert created is not None
    meta = _object(info.get("segmentationMeta"))
    names, reading = info.get("label_info"), OF_A_CLIENT
    model_names = _object(_object(info.get("params")).get("label_names"))
    if not names and model_names:
        # The framework notes a model's own table, which numbers by value.
        names = [{"name": name, "idx": value} for name, value in model_names.items()]
        reading = OF_VALUES
    asked = [_object(one).get("client_id") for one in _object(image.get("strategy")).values()]
    own = (info.get("client_id"), info.get("user"))
    is_correction = tag.startswith(CORRECTION_PREFIX)
    return Found(
        case=case,
        tag=tag,
        author=reader_of(meta.get("approvedBy"), *own)
        if is_correction
        else reader_of(*own, *asked),
        created=created,
        path=path,
        source=f"{path.parent.parent.name}/{tag}/{path.name}",
        label_info=names or None,
        reading=reading,
        review=_review(meta, created),
        info=info,
    )


def _review(meta: Json, created: datetime) -> FoundReview | None:
    """The stock Reviewer's record, if it says anything."""
    status = _one_of(ReviewStatus, meta.get("status"), ReviewStatus.NONE)
    level = _one_of(Level, meta.get("level"), Level.NONE)
    comment = meta.get("comment")
    words = comment[:_LONGEST_COMMENT] if isinstance(comment, str) else ""
    if status is ReviewStatus.NONE and level is Level.NONE and not words:
        return None
    at = _time_of(meta.get("editTime")) or created
    return FoundReview(status, level, words, reader_of(meta.get("approvedBy")), at)


def _one_of(kind: Any, word: object, otherwise: Any) -> Any:
    return next((one for one in kind if one.value == word), otherwise)


def _time_of(seconds: object) -> datetime | None:
    """A time of the list's, where it is a plausible one."""
    try:
        number = float(seconds) if isinstance(seconds, (int, float, str)) else math.nan
    except (ValueError, OverflowError):
        return None
    if not _EARLIEST <= number <= _LATEST:
        return None
    return datetime.fromtimestamp(number, timezone.utc)


def _object(value: object) -> Json:
    return value if isinstance(value, dict) else {}
