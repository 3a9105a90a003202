"""The MONAI Label app: names its parts, holds no logic."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.infer_v2 import InferTask
from monailabel.interfaces.tasks.scoring import ScoringMethod
from monailabel.interfaces.tasks.strategy import Strategy
from monailabel.interfaces.tasks.train import TrainTask

from parotid_brachy.lib.datastore.approved_sending import ApprovedSending
from parotid_brachy.lib.datastore.archive_studies import ArchiveStudies
from parotid_brachy.lib.datastore.studies import Studies
from parotid_brachy.lib.dicomweb.archive import Archive
from parotid_brachy.lib.dicomweb.orthanc import RemovingArchive
from parotid_brachy.lib.infers.batch import OneDeviceBatchInfer
from parotid_brachy.lib.infers.catalogue import infer_tasks, warm_models
from parotid_brachy.lib.infers.drafting import Drafting
from parotid_brachy.lib.retraining.job_queue import JobQueue, Trainers
from parotid_brachy.lib.retraining.promoting import Registers, reconcile
from parotid_brachy.lib.review.states import ReviewPolicy
from parotid_brachy.lib.scoring.methods import scoring_methods
from parotid_brachy.lib.scoring.serving import ServingModels
from parotid_brachy.lib.segmentation.registry import Registry
from parotid_brachy.lib.server.agreement_worker import AgreementWorker
from parotid_brachy.lib.server.archive_settings import (
    archive_access,
    is_archive,
    studies_folder,
)
from parotid_brachy.lib.server.archive_worker import ArchiveWorker
from parotid_brachy.lib.server.configuration import ServerSettings
from parotid_brachy.lib.server.install import install_on_running_server
from parotid_brachy.lib.server.retraining_settings import RetrainingSettings
from parotid_brachy.lib.server.retraining_worker import RetrainingWorker
from parotid_brachy.lib.strategies.ordered import ordered_strategies
from parotid_brachy.lib.strategies.random import RandomStrategy
from parotid_brachy.lib.strategies.scored import scored_strategies
from parotid_brachy.lib.trainers.retraining import Retraining
from parotid_brachy.lib.trainers.task import train_tasks
from parotid_brachy.lib.version import project_version


class ParotidBrachyApp(MONAILabelApp):
    """Pre-labels the parotid gland and the organs at risk round it.

    Args:
        app_dir: this folder.
        studies: folder of images, or the address of a DICOMweb archive.
        conf: ``model_dir``: folder of the model versions, if not ``model`` beside this file;
            ``database``: address of a PostgreSQL database, if the store's rows are not to lie in
            the folder of studies; ``studies_folder``: where an archive's images and contours are
            kept; the rest as :class:`ServerSettings` and
            :class:`RetrainingSettings` have it.

    Attributes:
        retraining: the trainings of these studies; None where nothing is trained.
        sending: the outbox of an archive's studies; None where nothing is sent.
    """

    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        install_on_running_server()
        self._models = Path(conf.get("model_dir") or Path(app_dir) / "model")
        self._warm = warm_models(self._models)
        self._tasks = infer_tasks(self._warm)
        self._settings = RetrainingSettings.of(conf)
        self.retraining: Retraining | None = None
        self.sending: ApprovedSending | None = None
        self._drafting = Drafting(self._tasks)
        super().__init__(
            app_dir=app_dir,
            studies=studies,
            conf=conf,
            name="Parotid brachytherapy",
            description="Pre-labels the parotid gland and six organs at risk on CT",
            version=project_version(),
        )
        # The framework would score everything whenever somebody asks for a case.
        self._auto_update_scoring = False

    def init_infers(self) -> dict[str, InferTask]:
        """The infer tasks by name, the default first."""
        return dict(self._tasks)

    def init_trainers(self) -> dict[str, TrainTask]:
        """The train tasks by name, the default first; none over an archive."""
        studies = self.datastore()
        if not isinstance(studies, Studies):
            return {}
        trainers = Trainers(
            studies.folder.resolve(),
            self._models.resolve(),
            database_url=self.conf.get("database") or None,
        )
        queue = JobQueue(studies.store.folder.resolve(), trainers)
        self.retraining = Retraining(queue, Registry(self._models), self._settings.policy)
        return dict(train_tasks(self.retraining))

    def init_strategies(self) -> dict[str, Strategy]:
        """How the next case to label is chosen."""
        scored = scored_strategies(ServingModels(self._warm).made_by)
        return {"random": RandomStrategy(), **ordered_strategies(), **scored}

    def init_scoring_methods(self) -> dict[str, ScoringMethod]:
        """What can be found out about the cases and the models."""
        return scoring_methods(ServingModels(self._warm), self._drafting.device)

    def init_batch_infer(self) -> Callable[..., Any]:
        """Batch inference."""
        return OneDeviceBatchInfer()

    def init_datastore(self) -> Datastore:
        """A folder of studies, or an archive over DICOMweb."""
        settings = ServerSettings.of(self.conf, studies=self.studies)
        policy = ReviewPolicy(has_one_reader=settings.has_one_reader)
        database_url = self.conf.get("database") or None
        if not is_archive(self.studies):
            return Studies(self.studies, database_url=database_url, policy=policy)
        folder = studies_folder(self.conf, self.studies)
        archive = Archive(archive_access(self.studies))
        return ArchiveStudies(archive, folder, database_url=database_url, policy=policy)

    def server_mode(self, mode: bool) -> None:
        """Told when this process serves: then there is other work beside it."""
        super().server_mode(mode)
        studies = self.datastore()
        if mode and isinstance(studies, ArchiveStudies):
            if ServerSettings.of(self.conf, studies=self.studies).sends_approved:
                archive = RemovingArchive(archive_access(self.studies))
                self.sending = ApprovedSending(studies, archive)
            ArchiveWorker(studies, self.sending).start()
        if mode and isinstance(studies, Studies):
            AgreementWorker(studies).start()
            reconcile(Registers(Registry(self._models), studies.store))
            if self.retraining is not None:
                RetrainingWorker(studies, self.retraining, self._settings.schedule).start()

    def infer(self, request: dict[str, Any], datastore: Datastore | None = None) -> dict[str, Any]:
        """Runs an infer task; see :meth:`Drafting.infer`."""
        return self._drafting.infer(request, datastore or self.datastore())
