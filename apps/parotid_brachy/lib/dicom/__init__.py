"""DICOM in and out: series, segmentations, structure sets, de-identification."""
