"""Dose of permanent seed implants: plans, TG-43, dose grids, dose-volume histograms."""
