"""Presets whose trainings last seconds."""

from __future__ import annotations

from dataclasses import replace

from parotid_brachy.lib.segmentation.presets import NetworkKind, Preset, Step, preset_for


def quick(step: Step, name: str = "compact") -> Preset:
    """A preset on a coarse grid with small patches and few features."""
    preset = preset_for(name, step)
    coarse = replace(preset, spacing_kji_mm=(4.0, 4.0, 4.0), patch_kji=(32, 32, 32))
    if preset.network is NetworkKind.VNET:  # its features are fixed
        return replace(coarse, patch_kji=(16, 16, 16))
    if name == "paper":  # six levels
        return replace(coarse, features=(4,) * 6, patch_kji=(32, 64, 64))
    return replace(coarse, features=(4,) * 5)
