"""What a team has de-identification do: options of PS3.15, section E.3, and limits."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from parotid_brachy.lib.dicom.deidentification.profile_table import Option


class BurnedIn(enum.Enum):
    """What becomes of an object whose pixels may show the patient's name."""

    REFUSE = "refuse"
    FLAG = "flag"
    """It is let through, with a flag in the report; somebody has looked at the pixels."""


@dataclass(frozen=True)
class WalkLimits:
    """What is taken from one object; more is refused.

    Attributes:
        depth: sequences within sequences.
        elements: at all levels together.
        text_values: values of one text or code string.
        text_bytes: length of one text or code string.
        number_bytes: length of one element of numbers; contours of large structures have
            megabytes.
    """

    depth: int = 16
    elements: int = 500_000
    text_values: int = 1000
    text_bytes: int = 1024**2
    number_bytes: int = 64 * 1024**2


@dataclass(frozen=True)
class DeidentificationPolicy:
    """Options in force, on top of the basic profile.

    Attributes:
        clean_descriptors: free text is kept if all of its words are harmless; else it goes as
            the basic profile says.
        retain_modified_dates: dates are shifted by the patient's number of days, times stay;
            else both go.
        retain_device_identity: scanner, station, serial and software stay.
        retain_patient_characteristics: sex, age, size and weight stay.
        burned_in: what becomes of objects with writing in their pixels.
        limits: of one object.
    """

    clean_descriptors: bool = True
    retain_modified_dates: bool = True
    retain_device_identity: bool = True
    retain_patient_characteristics: bool = False
    burned_in: BurnedIn = BurnedIn.REFUSE
    limits: WalkLimits = field(default_factory=WalkLimits)

    @property
    def options(self) -> tuple[Option, ...]:
        """The table's columns in force, the first one that says something counting."""
        chosen = {
            Option.RETAIN_DEVICE_IDENTITY: self.retain_device_identity,
            Option.RETAIN_PATIENT_CHARACTERISTICS: self.retain_patient_characteristics,
            Option.RETAIN_MODIFIED_DATES: self.retain_modified_dates,
            Option.CLEAN_DESCRIPTORS: self.clean_descriptors,
        }
        return tuple(option for option, is_on in chosen.items() if is_on)
