"""Doses of the cases of a store: which seed plan counts, and what corrected contours change."""
