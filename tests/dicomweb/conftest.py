from tests.dicomweb.archives import archive, orthanc_server, running, series_uid, slices

__all__ = ["archive", "orthanc_server", "running", "series_uid", "slices"]
