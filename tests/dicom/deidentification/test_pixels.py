import numpy as np
import pytest
from pydicom.dataelem import DataElement
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit, SecondaryCaptureImageStorage
from tests.dicom.deidentification.objects import ct, deidentifier, reread, written

from parotid_brachy.lib.dicom.deidentification.findings import Outcome
from parotid_brachy.lib.dicom.deidentification.pixels import without_comments
from parotid_brachy.lib.dicom.deidentification.policy import BurnedIn
from parotid_brachy.lib.errors import InputRefusedError


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("BurnedInAnnotation", "YES"),
        ("Modality", "US"),
        ("Modality", "OT"),
        ("ConversionType", "SD"),
        ("ImageType", ["DERIVED", "SECONDARY", "SCREEN SAVE"]),
        ("SOPClassUID", SecondaryCaptureImageStorage),
    ],
)
def test_pixels_that_may_show_a_name_are_refused_unless_told_otherwise(keyword, value):
    dataset = ct()
    setattr(dataset, keyword, value)
    with pytest.raises(InputRefusedError, match="its pixels may show the patient's name"):
        deidentifier().apply(reread(dataset))
    done = deidentifier(burned_in=BurnedIn.FLAG).apply(reread(dataset))
    assert [finding.attribute for finding, _ in done.findings.with_outcome(Outcome.FLAGGED)] == [
        "PixelData"
    ]


def test_a_reformatted_ct_without_annotation_is_not_suspect():
    dataset = ct()
    dataset.BurnedInAnnotation = "NO"
    dataset.ImageType = ["DERIVED", "SECONDARY", "REFORMATTED"]
    done = deidentifier().apply(reread(dataset))
    assert done.findings.with_outcome(Outcome.FLAGGED) == []


def test_an_overlay_in_unused_bits_is_cleared_and_the_image_is_not():
    dataset = ct()
    stored = np.frombuffer(dataset.PixelData, "<u2") | 0x8000
    dataset.PixelData = stored.tobytes()
    dataset.add(DataElement(0x60000100, "US", 16))
    dataset.add(DataElement(0x60000102, "US", 15))
    result = reread(deidentifier().apply(reread(dataset)).dataset)
    assert result.PixelData == ct().PixelData
    assert not [tag for tag in result.keys() if tag.group == 0x6000]  # noqa: SIM118


def test_high_bits_that_no_overlay_claims_stay():
    dataset = ct()
    padded = np.full(16, 63536, "<u2")
    dataset.PixelData = padded.tobytes()
    assert deidentifier().apply(reread(dataset)).dataset.PixelData == padded.tobytes()


def jpeg(comment: bytes) -> bytes:
    application = b"\xff\xe1" + (2 + 8).to_bytes(2, "big") + b"Exifname"
    text = b"\xff\xfe" + (2 + len(comment)).to_bytes(2, "big") + comment
    table = b"\xff\xdb" + (2 + 3).to_bytes(2, "big") + b"abc"
    return b"\xff\xd8" + application + text + table + b"\xff\xda\0\x02" + b"scan\xff\xd9"


def test_comments_of_a_codec_are_blanked_and_nothing_else():
    dataset = ct()
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset.PixelData = encapsulate([jpeg(b"Weissenborn"), jpeg(b"Adelheid")])
    dataset["PixelData"].is_undefined_length = True
    dataset["PixelData"].VR = "OB"
    result = deidentifier().apply(reread(dataset)).dataset
    content = written(result)
    for word in (b"Weissenborn", b"Adelheid", b"Exifname"):
        assert word not in content
    assert content.count(b"scan") == 2
    assert content.count(b"abc") == 2
    assert len(result.PixelData) == len(dataset.PixelData)
    assert reread(result).file_meta.TransferSyntaxUID == JPEGBaseline8Bit


def test_comments_of_jpeg_2000_are_blanked():
    text = b"\xff\x64" + (2 + 2 + 6).to_bytes(2, "big") + b"\0\x01" + b"secret"
    stream = b"\xff\x4f\xff\x51\0\x04ab" + text + b"\xff\x90\0\x0arest secret"
    content = encapsulate([stream])
    assert without_comments(content) == content.replace(b"\x01secret", b"\x01" + bytes(6))


def test_pixels_that_look_like_the_start_of_a_stream_stay():
    content = encapsulate([b"\xff\x90" + b"\xff\x4f\xff\x64\0\x0cpixels and more " * 3])
    assert without_comments(content) == content


def test_broken_streams_end():
    for stream in (
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xfe",
        b"\xff\xd8\xff\xfe\0\0" * 50,
        b"\xff" * 99,
    ):
        content = encapsulate([stream])
        assert len(without_comments(content)) == len(content)
        assert len(without_comments(content[:-5])) == len(content) - 5
