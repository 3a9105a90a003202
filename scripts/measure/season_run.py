"""A scripted season: patients are drafted, contoured, approved, and trained on, round by round.

Beside it somebody asks for pre-labels all the time. In the end versions that were made worse on
purpose are put to the gate, and a person promotes and rolls back.
"""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from scripts.measure.season_checks import Left, faults
from scripts.measure.season_heads import ENDING, Cohorts, slipped
from scripts.measure.season_models import BLIND, FIRST, SHUFFLED, CommandLine, Effort
from scripts.measure.season_people import Onlooker, ReaderOne, Seen, Senior, answer_of

from parotid_brachy.lib.retraining.gate import Verdict
from parotid_brachy.lib.retraining.job import Task
from parotid_brachy.lib.retraining.job_processes import kill_all_of, processes_of
from parotid_brachy.lib.retraining.job_queue import JOBS
from parotid_brachy.lib.retraining.job_status import JobState
from parotid_brachy.lib.review.handovers import DRAFT_TO_INITIAL
from parotid_brachy.lib.review.records import DRAFT_TAG, INITIAL_TAG, STORE_FOLDER
from parotid_brachy.lib.segmentation.presets import Step
from parotid_brachy.lib.segmentation.registry import Registry

SERVER_CONF: Final[Mapping[str, str]] = {
    "loopback_reviewer": "sofia",
    "gate_patients": "1",
    "gate_margin_dsc": "0.05",
    # A few small heads on a machine that trains, infers and compares at once tell nothing of speed.
    "gate_seconds_factor": "20",
}
"""What the server is told by ``--conf``."""
_CORRECTED_EVERY: Final = 4
_LOOKS_EVERY_S: Final = 0.5
_AGREEMENT_WITHIN_S: Final = 120.0


@dataclass(frozen=True)
class SeasonPlan:
    """How a season goes.

    Attributes:
        task: that drafts, and is trained.
        first: effort of the first version's training, a small one: it is to be weak.
        later: effort of each round's training, from the champion on.
        bad: effort of the training on exchanged labels, from the champion on.
        rounds: with a training after each.
        compares_all: the champion after each round is compared with the first version; else only
            the last.
        pause_s: of the onlooker between two inferences.
        job_within_s: a training that takes longer has failed.
        seed: of what is random.
    """

    task: Task
    first: Effort
    later: Effort
    bad: Effort
    rounds: int = 3
    compares_all: bool = True
    pause_s: float = 0.5
    job_within_s: float = 1800.0
    seed: int = 0


@dataclass(frozen=True)
class Place:
    """Where a season is played.

    Attributes:
        studies: folder that the server serves.
        models: root of its registry.
        work: for all else.
    """

    studies: Path
    models: Path
    work: Path


@dataclass
class Season:
    """What has happened.

    Attributes:
        rounds: a mapping each: patients, the training, seconds.
        jobs: all trainings, as ``/review/jobs`` told of them.
        tags: that each approved case has.
        unseen: comparisons of the first version with each champion, on patients whom none saw.
        refused: what the gate said of versions made worse on purpose.
        served: what the onlooker was served by, before, while and after a person promoted the
            first version again.
        seen: the onlooker's answers.
        faults: by check; nothing anywhere where all is well.
    """

    rounds: list[dict[str, Any]] = field(default_factory=list)
    jobs: list[dict[str, Any]] = field(default_factory=list)
    tags: dict[str, list[str]] = field(default_factory=dict)
    unseen: list[dict[str, Any]] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)
    served: list[str] = field(default_factory=list)
    seen: Seen = field(default_factory=Seen)
    faults: dict[str, list[str]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


def prepare(plan: SeasonPlan, place: Place, cohorts: Cohorts) -> None:
    """Fills the folder of studies, and trains the first version; before the server starts."""
    for folder in (place.studies, place.models, place.work):
        folder.mkdir(parents=True, exist_ok=True)
    for image in cohorts.season.images.glob(f"*{ENDING}"):
        shutil.copyfile(image, place.studies / image.name)
    line = CommandLine(place.models, place.studies, place.work)
    for step in plan.task.steps:
        line.trains(step, FIRST, cohorts.before, plan.first)


def play(
    plan: SeasonPlan,
    place: Place,
    cohorts: Cohorts,
    url: str,
    *,
    on_step: Callable[[str], None] = lambda _: None,
) -> Season:
    """Plays a season on a server that runs.

    Args:
        plan: how it goes.
        place: that :func:`prepare` has filled.
        cohorts: the patients.
        url: of the server.
        on_step: told what is done next.

    Raises:
        RuntimeError: a training failed, or something did not come about in time.
    """
    return _Play(plan, place, cohorts, url, on_step).run()


def end_trainers(studies: Path) -> list[str]:
    """Kills whatever trains for a folder of studies; returns the jobs that had a process left."""
    folder = studies / STORE_FOLDER / JOBS
    ids = [path.name for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    left = [job for job in ids if processes_of(job)]
    for job in left:
        kill_all_of(job)
    return left


class _Play:
    def __init__(
        self,
        plan: SeasonPlan,
        place: Place,
        cohorts: Cohorts,
        url: str,
        on_step: Callable[[str], None],
    ) -> None:
        self._plan, self._place, self._cohorts, self._url = plan, place, cohorts, url
        self._on_step = on_step
        self._line = CommandLine(place.models, place.studies, place.work)
        self._reader = ReaderOne(url, _made(place.work / "reader"))
        self._senior = Senior(url, _made(place.work / "senior"))
        self._season = Season()
        self._task = plan.task.value

    def run(self) -> Season:
        season, plan = self._season, self._plan
        for step in plan.task.steps:
            self._line.promotes(step, FIRST, "the first version")
        cases = self._cohorts.season.cases
        size = len(cases) // plan.rounds
        side = self._cohorts.season.side(cases[0])
        folder = _made(self._place.work / "onlooker")
        with Onlooker(
            self._url, self._task, cases[0], side, folder=folder, pause_s=plan.pause_s
        ) as onlooker:
            season.seen = onlooker.seen
            for number in range(plan.rounds):
                own = cases[number * size : (number + 1) * size]
                season.rounds.append(self._round(number + 1, own))
            self._bad_versions()
            self._promote_and_roll_back(cases[0])
        self._compare_champions()
        left = Left(self._line, season.tags, season.jobs, plan.task.steps)
        self._on_step("checks")
        season.faults = faults(left)
        return season

    def _round(self, number: int, cases: Sequence[str]) -> dict[str, Any]:
        began = time.monotonic()
        self._on_step(f"round {number}: contours")
        for case in cases:
            self._contour(case)
        contoured = time.monotonic()
        self._on_step(f"round {number}: training")
        job = self._trained()
        trained = time.monotonic()
        return {
            "round": number,
            "patients": [self._agreement(case) for case in cases],
            "job": job["id"],
            "results": job["results"],
            "contours_s": contoured - began,
            "training_s": trained - contoured,
        }

    def _contour(self, case: str) -> None:
        """The model drafts, reader 1 submits, the senior approves, or corrects and approves."""
        season = self._cohorts.season
        self._reader.asks_for_draft(self._task, case, season.side(case))
        truth, grid = season.truth(case)
        number = season.cases.index(case)
        self._reader.submits(case, slipped(truth, self._plan.seed + number), grid)
        tags = [DRAFT_TAG, INITIAL_TAG]
        if number % _CORRECTED_EVERY == _CORRECTED_EVERY - 1:
            tags.append(self._senior.corrects(case, truth, grid))
        self._senior.approves(case, tags[-1])
        self._season.tags[case] = tags

    def _agreement(self, case: str) -> dict[str, Any]:
        """What reader 1 has changed of the draft, as the server tells it."""
        until = time.monotonic() + _AGREEMENT_WITHIN_S
        while time.monotonic() < until:
            rows = answer_of(self._url, f"/review/cases/{case}/agreement")["items"]
            own = [row["structures"] for row in rows if row["kind"] == DRAFT_TO_INITIAL]
            if own:
                both = [row for row in own[0] if row["contoured"] == "both"]
                known = [one for row in both if (one := row["dsc"]["value"]) is not None]
                changed = sum(row["added_ml"] + row["removed_ml"] for row in both)
                by_name = {row["structure"]: row["dsc"]["value"] for row in both}
                mean = statistics.fmean(known) if known else None
                return {"case": case, "dsc": mean, "changed_ml": changed, "dsc_by_name": by_name}
            time.sleep(_LOOKS_EVERY_S)
        message = f"{case}: the server told no agreement of draft and initial contours"
        raise RuntimeError(message)

    def _trained(self, *, from_scratch: bool = False) -> dict[str, Any]:
        """Starts a training and waits for its end."""
        effort = Effort(1, 1) if from_scratch else self._plan.later
        options = {
            "max_epochs": effort.epochs,
            "iterations": effort.iterations,
            "pretrained": not from_scratch,
            "seed": self._plan.seed,
        }
        job_id = self._senior.starts_training(self._task, options)
        until = time.monotonic() + self._plan.job_within_s
        while time.monotonic() < until:
            jobs = {job["id"]: job for job in answer_of(self._url, "/review/jobs")["items"]}
            job = dict(jobs[job_id])
            if job["state"] == JobState.DONE.value:
                self._season.jobs.append({**job, "from_scratch": from_scratch})
                return job
            if not JobState(job["state"]).is_open:
                message = f"training {job_id}: {job['state']}: {job['message']}"
                raise RuntimeError(message)
            time.sleep(_LOOKS_EVERY_S)
        message = f"training {job_id} is not done after {self._plan.job_within_s:.0f} s"
        raise RuntimeError(message)

    def _bad_versions(self) -> None:
        """A job's own candidate after one iteration; then two that were made by hand."""
        refused, unseen = self._season.refused, self._cohorts.unseen
        self._on_step("a training of one iteration, from scratch")
        for result in self._trained(from_scratch=True)["results"]:
            refused.append({"what": "one iteration", **_told(result)})
        for step in self._plan.task.steps:
            champion = self._champion(step)
            self._on_step(f"{step.value}: a candidate trained on exchanged labels")
            self._line.trains_shuffled(step, self._cohorts.before, self._plan.bad)
            self._on_step(f"{step.value}: a candidate that misses a structure")
            blind_to = self._line.makes_blind(step).name
            for what, name in (("exchanged labels", SHUFFLED), (f"misses {blind_to}", BLIND)):
                found = self._line.compares(step, champion, name, unseen)
                refused.append(
                    {"what": what, "step": step.value, "version": name, **_judged(found)}
                )

    def _promote_and_roll_back(self, case: str) -> None:
        """A person goes back to the first version, and thinks better of it."""
        self._on_step("a person promotes and rolls back")
        steps, served = self._plan.task.steps, self._season.served
        served.append(self._served_by(case))
        for step in steps:
            self._line.promotes(step, FIRST, "the old one was better liked")
        served.append(self._served_by(case))
        for step in steps:
            self._line.rolls_back(step, "a mistake")
        served.append(self._served_by(case))

    def _served_by(self, case: str) -> str:
        with Onlooker(
            self._url,
            self._task,
            case,
            self._cohorts.season.side(case),
            folder=_made(self._place.work / "served"),
            pause_s=self._plan.job_within_s,
        ) as asking:
            while not asking.seen.versions and not asking.seen.failures:
                time.sleep(_LOOKS_EVERY_S)
        return next(iter(asking.seen.versions), "nobody")

    def _compare_champions(self) -> None:
        """The first version with the champion after each round, on patients whom none saw."""
        for step in self._plan.task.steps:
            known: dict[str, list[dict[str, Any]]] = {}
            champion = FIRST
            for one in self._season.rounds:
                own = next(r for r in one["results"] if r["step"] == step.value)
                champion = str(own["version"]) if own["promoted"] else champion
                if not (self._plan.compares_all or one is self._season.rounds[-1]):
                    continue
                self._on_step(f"{step.value}: the champion after round {one['round']}, unseen")
                if champion not in known and champion != FIRST:
                    found = self._line.compares(step, FIRST, champion, self._cohorts.unseen)
                    known[champion] = found["comparison"]["rows"]
                rows = known.get(champion)
                told = {"step": step.value, "round": one["round"], "version": champion}
                self._season.unseen.append({**told, "rows": rows})

    def _champion(self, step: Step) -> str:
        return Registry(self._place.models).champion(step).name


def is_better(rows: Sequence[Mapping[str, Any]] | None) -> bool:
    """Whether a champion's mean DSC over the structures is above the first version's."""
    known = [row["difference"] for row in rows or () if row["difference"] is not None]
    return bool(known) and statistics.fmean(known) > 0


def _told(result: Mapping[str, Any]) -> dict[str, Any]:
    verdict = Verdict.PROMOTE if result["promoted"] else Verdict.WAIT
    rows = (result["comparison"] or {}).get("rows", [])
    return {
        "step": result["step"],
        "version": result["version"],
        "verdict": verdict.value,
        "reasons": list(result["reasons"]),
        "rows": rows,
    }


def _judged(found: Mapping[str, Any]) -> dict[str, Any]:
    rows = found["comparison"]["rows"]
    return {"verdict": found["verdict"], "reasons": found["reasons"], "rows": rows}


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
