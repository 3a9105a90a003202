"""MONAI Label app for organs at risk in parotid-gland brachytherapy."""
