"""The project's version, as it was installed."""

from __future__ import annotations

from importlib import metadata


def project_version() -> str:
    """The version in the installed package's metadata."""
    try:
        return metadata.version("parotid-brachy")
    except metadata.PackageNotFoundError:
        return "0 (not installed)"
