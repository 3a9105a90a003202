"""Blind grading of contours by oncologists: making a study, keeping grades, unmasking."""
