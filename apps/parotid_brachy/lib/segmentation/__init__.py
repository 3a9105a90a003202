"""nnU-Net v2 embedded as a library: presets, training, prediction, the two steps."""
