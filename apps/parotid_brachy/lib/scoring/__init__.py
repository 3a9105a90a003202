"""MONAI Label's scoring methods: agreement, model quality, and what strategies choose by."""
