"""Looks after the trainings, in a thread beside the server's work."""

from __future__ import annotations

import logging
from typing import Final

from parotid_brachy.lib.datastore.studies import Studies
from parotid_brachy.lib.retraining.job import Task
from parotid_brachy.lib.retraining.job_status import now_utc
from parotid_brachy.lib.retraining.promoting import THE_GATE
from parotid_brachy.lib.retraining.schedule import SchedulePolicy, is_due, server_time_zone
from parotid_brachy.lib.review.records import CaseFilter
from parotid_brachy.lib.review.states import CaseState
from parotid_brachy.lib.server.periodic_worker import PeriodicWorker
from parotid_brachy.lib.trainers.retraining import Retraining

logger = logging.getLogger(__name__)

_LOOKS_EVERY_S: Final = 1.0
_LOOKS_BEFORE_SCHEDULE: Final = 30


class RetrainingWorker(PeriodicWorker):
    """Starts, adopts and buries trainers, and asks for trainings that are due.

    A trainer that lives is left alone when the server ends: it goes on, and the next server
    adopts it.

    Args:
        studies: whose approved cases are trained on.
        retraining: of the server.
        schedule: when a training is due.
    """

    def __init__(self, studies: Studies, retraining: Retraining, schedule: SchedulePolicy) -> None:
        super().__init__("retraining", _LOOKS_EVERY_S)
        self._studies = studies
        self._retraining = retraining
        self._schedule = schedule
        self._task = Task(schedule.task)
        self._is_scheduled = schedule.every_approved is not None or schedule.cron is not None
        self._began = now_utc()
        self._looks = 0

    def look(self) -> None:
        """Looks once at the queue, and now and then at the schedule."""
        super().look()
        self._looks += 1

    def _look(self) -> None:
        self._retraining.queue.look_after()
        if self._is_scheduled and self._looks % _LOOKS_BEFORE_SCHEDULE == 0:
            self._ask_if_due()

    def _ask_if_due(self) -> None:
        queue = self._retraining.queue
        own = [one.job for one in queue.jobs() if one.job.choice.task is self._task]
        if any(one.job.choice.task is self._task for one in queue.open_jobs()):
            return
        last = own[-1].asked_at if own else None
        approved = self._studies.store.cases(CaseFilter((CaseState.APPROVED,), is_consensus=False))
        news = [
            one
            for one in approved.items
            if last is None or (one.approved_at is not None and one.approved_at > last)
        ]
        due = is_due(
            self._schedule,
            now=now_utc().astimezone(server_time_zone()),
            last_started=last or self._began,
            approved_since_last=len(news),
        )
        if due is not None:
            logger.info("retraining: %s", due.reason)
            self._retraining.start(self._task, {}, THE_GATE, enqueue=True, why=due.reason)
