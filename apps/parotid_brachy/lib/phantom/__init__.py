"""Synthetic head CTs with the truth of all seven structures, drawn from anatomy by seed."""
