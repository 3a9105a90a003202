"""When a retraining is due: after so many approved cases, at times of day, in quiet hours only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta, timezone, tzinfo
from typing import Final

from cronsim import CronSim, CronSimError
from dateutil import tz

from parotid_brachy.lib.errors import UsageError

_LONGEST_CRON: Final = 100
_PERIOD: Final = re.compile(
    r"\s*([01][0-9]|2[0-3]):([0-5][0-9])\s*-\s*([01][0-9]|2[0-3]):([0-5][0-9])\s*"
)
# More than any clock is ever put back: what lies so far ahead by the clock may be past already.
_CLOCK_CHANGE: Final = timedelta(hours=3)


@dataclass(frozen=True)
class QuietHours:
    """The part of every day in which trainings may start, by the server's clock.

    Attributes:
        start: from then on.
        end: until before then; earlier than ``start`` where midnight lies between.
    """

    start: time
    end: time

    def __post_init__(self) -> None:
        """Refuses what is no period of a day."""
        if self.start.tzinfo is not None or self.end.tzinfo is not None:
            message = f"quiet hours {self}: give times of the server's clock, without a time zone"
            raise UsageError(message)
        if self.start == self.end:
            message = (
                f"quiet hours {self}: start and end are the same. "
                "Leave them out where trainings may start at any time."
            )
            raise UsageError(message)

    def __str__(self) -> str:
        return f"{self.start:%H:%M}-{self.end:%H:%M}"

    def include(self, moment: datetime) -> bool:
        """Whether a training may start then, by the clock of the moment's own time zone."""
        clock = moment.time()
        if self.start < self.end:
            return self.start <= clock < self.end
        return clock >= self.start or clock < self.end


@dataclass(frozen=True)
class SchedulePolicy:
    """When to train without being told; never, where neither a number nor times are given.

    Attributes:
        every_approved: after so many newly approved cases, or None.
        cron: five fields (minute, hour, day of month, month, day of week) as Debian's cron reads
            them, by the server's clock, or None. A time that the clock leaves out in spring is due
            right after it, one that comes twice in autumn is due once.
        quiet_hours: when trainings may start; None: at any time.
        task: what to train.
    """

    every_approved: int | None
    cron: str | None
    quiet_hours: QuietHours | None
    task: str

    def __post_init__(self) -> None:
        """Refuses what could never be fulfilled."""
        if self.every_approved is not None and self.every_approved < 1:
            message = f"train after every {self.every_approved} approved cases: give 1 or more"
            raise UsageError(message)
        if self.cron is not None:
            _check_cron(self.cron)
        if not self.task.strip():
            message = "the schedule names no task to train"
            raise UsageError(message)


@dataclass(frozen=True)
class Due:
    """A training that should start.

    Attributes:
        task: what to train.
        reason: in words.
    """

    task: str
    reason: str


def parse_quiet_hours(text: str) -> QuietHours:
    """Quiet hours as a configuration has them, ``20:00-06:00``.

    Raises:
        UsageError: it is none.
    """
    found = _PERIOD.fullmatch(text)
    if found is None:
        message = f"quiet hours {text[:40]!r}: give start and end of a day's period, 20:00-06:00"
        raise UsageError(message)
    hour, minute, end_hour, end_minute = (int(part) for part in found.groups())
    return QuietHours(time(hour, minute), time(end_hour, end_minute))


def server_time_zone() -> tzinfo:
    """The server's time zone with its clock changes; ``datetime.now(server_time_zone())``."""
    zone: tzinfo = tz.gettz() or tz.tzlocal()
    return zone


def is_due(
    policy: SchedulePolicy,
    *,
    now: datetime,
    last_started: datetime | None,
    approved_since_last: int,
) -> Due | None:
    """Whether a training is to start now.

    Args:
        policy: when to train.
        now: in the server's time zone (:func:`server_time_zone`): cron and quiet hours go by it.
        last_started: when the last training of the task began, whatever became of it, or, before
            the first, when the schedule came into force. None: a cron time of the past was missed.
        approved_since_last: cases approved since that training's snapshot.

    Returns:
        None where nothing is due, or not within the quiet hours. However many times were missed,
        it is one training.

    Raises:
        UsageError: a datetime without time zone.
    """
    due = is_wanted(
        policy, now=now, last_started=last_started, approved_since_last=approved_since_last
    )
    if policy.quiet_hours is not None and not policy.quiet_hours.include(now):
        return None
    return due


def is_wanted(
    policy: SchedulePolicy,
    *,
    now: datetime,
    last_started: datetime | None,
    approved_since_last: int,
) -> Due | None:
    """As :func:`is_due`, of a training too that waits for the quiet hours."""
    for moment in (now, last_started):
        if moment is not None and moment.utcoffset() is None:
            message = f"{moment.isoformat()}: a schedule needs to know the time zone"
            raise UsageError(message)
    reasons = []
    wanted = policy.every_approved
    if wanted is not None and approved_since_last >= wanted:
        cases = "case" if approved_since_last == 1 else "cases"
        verb = "is" if wanted == 1 else "are"
        reasons.append(f"{approved_since_last} newly approved {cases}, {wanted} {verb} wanted")
    if policy.cron is not None:
        fell = _last_time(policy.cron, now)
        if fell is not None and (last_started is None or _utc(fell) > _utc(last_started)):
            reasons.append(f"{policy.cron} fell due at {fell:%Y-%m-%d %H:%M}")
    return Due(policy.task, "; ".join(reasons)) if reasons else None


def _last_time(cron: str, now: datetime) -> datetime | None:
    """The last time, ``now`` included, at which an expression fell due."""
    ahead = (_utc(now) + _CLOCK_CHANGE).replace(microsecond=0).astimezone(now.tzinfo)
    for moment in CronSim(cron, ahead, reverse=True):
        if _utc(moment) <= _utc(now):
            return moment
    return None


def _check_cron(cron: str) -> None:
    advice = "Give minute, hour, day of month, month and day of week: 0 2 * * 1-5"
    problem = None
    if len(cron) > _LONGEST_CRON or len(cron.split()) != 5:
        problem = "not five fields"
    else:
        try:
            if next(CronSim(cron, datetime(2000, 1, 1, tzinfo=timezone.utc)), None) is None:
                problem = "never falls due"
        except CronSimError as error:
            problem = str(error)
    if problem is not None:
        message = f"cron expression {cron[:_LONGEST_CRON]!r}: {problem}. {advice}"
        raise UsageError(message)


def _utc(moment: datetime) -> datetime:
    # Two moments of one time zone compare by the clock alone, which runs through an hour twice.
    return moment.astimezone(timezone.utc)
