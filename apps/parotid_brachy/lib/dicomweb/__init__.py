"""DICOMweb (PS3.18): the archive's series as cases, and approved contours sent back to it."""
