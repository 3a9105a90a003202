"""DICOM Segmentation objects (SEG), written and read through dcmqi."""
