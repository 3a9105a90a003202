"""Types of attributes in the objects that we meet (PS3.5, section 7.4).

They decide between removing, emptying and a dummy value where the profile leaves it open. The
types are data (``data/attribute_types.json``), which names its source and edition.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from parotid_brachy.lib.dicom.deidentification.profile_table import data_text
from parotid_brachy.lib.errors import StoreError

_FILE: Final = "attribute_types.json"


class AttributeType(enum.Enum):
    """What an object demands of an attribute that it holds."""

    VALUE = "1"
    """Types 1 and 1C: not empty."""
    PRESENT = "2"
    """Types 2 and 2C: may be empty."""
    OPTIONAL = "3"
    UNKNOWN = "unknown"
    """Of a kind of object whose types are not known here."""


@dataclass(frozen=True)
class AttributeTypes:
    """Types by SOP class.

    Attributes:
        root: by SOP class UID: ``{keyword: type}`` of attributes outside of sequences.
        nested: ``{sequence/keyword: type}``.
    """

    root: Mapping[str, Mapping[str, AttributeType]]
    nested: Mapping[str, AttributeType]

    def type_of(self, sop_class: str, keyword: str, *, parent: str) -> AttributeType:
        """The type of one attribute.

        Args:
            sop_class: the object's SOP class UID.
            keyword: the attribute's.
            parent: keyword of the sequence that holds it; nothing at the root.
        """
        known = self.root.get(sop_class)
        if known is None:
            return AttributeType.UNKNOWN
        if parent:
            return self.nested.get(f"{parent}/{keyword}", AttributeType.OPTIONAL)
        return known.get(keyword, AttributeType.OPTIONAL)


@lru_cache(maxsize=1)
def attribute_types() -> AttributeTypes:
    """The types that the package brings.

    Raises:
        StoreError: the file is missing or damaged.
    """
    try:
        content = json.loads(data_text(_FILE))
        root = {sop_class: _flat(types) for sop_class, types in content["classes"].items()}
        return AttributeTypes(root, _flat(content["nested"]))
    except (KeyError, ValueError, AttributeError) as error:
        raise StoreError(f"{_FILE}: damaged ({error}). Install the package again.") from error


def _flat(types: Mapping[str, list[str]]) -> dict[str, AttributeType]:
    return {keyword: AttributeType(code) for code, names in types.items() for keyword in names}
