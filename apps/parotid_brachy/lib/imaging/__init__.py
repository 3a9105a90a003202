"""Volumes, grids and everything that is geometry: no networks, no server."""
