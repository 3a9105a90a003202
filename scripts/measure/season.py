"""A scripted season: 12 phantom patients in three rounds, with a training after each.

A weak first version drafts; reader 1 and the senior contour with stock clients; the server trains
on what was approved, and its gate promotes. ``report.md``, ``season.json`` and ``season.png`` tell
how the drafts became better and whether all is in order; the exit code is 1 where something is not.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import sys
import time
from pathlib import Path

from scripts.measure.season_heads import draw_cohorts
from scripts.measure.season_models import Effort
from scripts.measure.season_people import READER, SENIOR
from scripts.measure.season_report import draw, report
from scripts.measure.season_run import (
    SERVER_CONF,
    Place,
    Season,
    SeasonPlan,
    end_trainers,
    is_better,
    play,
    prepare,
)
from scripts.measure.servers import AS_SCRIPTS_SERVE, ServerProcess, Serving

from parotid_brachy.lib.retraining.job import Task
from parotid_brachy.lib.review.readers import ReadersFile, readers_file_of
from parotid_brachy.lib.review.roles import Role

logger = logging.getLogger(__name__)

PLAN = SeasonPlan(
    task=Task.TWO_STEP,
    first=Effort(epochs=1, iterations=60),
    later=Effort(epochs=4, iterations=40),
    bad=Effort(epochs=1, iterations=60),
    pause_s=2.0,
    job_within_s=3600.0,
)


def server_arguments() -> tuple[str, ...]:
    """What a season's server is started with."""
    conf = [word for key, value in SERVER_CONF.items() for word in ("--conf", key, value)]
    return (*AS_SCRIPTS_SERVE, *conf)


def write_readers(studies: Path) -> None:
    """Writes who is who."""
    studies.mkdir(parents=True, exist_ok=True)
    readers = ReadersFile(readers_file_of(studies))
    readers.add(READER, Role.ANNOTATOR, None)
    readers.add(SENIOR, Role.REVIEWER, None)


def what_is_wrong(season: Season) -> list[str]:
    """Everything that a season is to show, and does not."""
    wrong = [f"{name}: {fault}" for name, found in season.faults.items() for fault in found]
    wrong += [f"an inference failed: {failure}" for failure in season.seen.failures]
    for one in season.refused:
        if one["verdict"] != "wait":
            wrong.append(f"{one['what']} ({one['step']}) was not refused")
    last = season.rounds[-1]["round"]
    for one in season.unseen:
        if one["round"] == last and not is_better(one["rows"]):
            wrong.append(f"{one['step']}: the last champion is not better than the first version")
    before, while_first, after = season.served
    if before != after or before == while_first:
        wrong.append(f"promoted and rolled back, and served by {season.served}")
    return wrong


def main() -> int:
    """Plays a season; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="a new folder")
    parser.add_argument(
        "--heads", type=Path, metavar="DIR", help="of the phantoms, kept (default: in OUTPUT)"
    )
    parser.add_argument("--epochs", type=int, default=PLAN.later.epochs, help="of each training")
    parser.add_argument("--iterations", type=int, default=PLAN.later.iterations, help="per epoch")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    output: Path = args.output.resolve()
    if (output / "studies").exists():
        parser.error(f"{output}: holds a season already; give a new folder")
    plan = dataclasses.replace(PLAN, later=Effort(args.epochs, args.iterations))
    began = time.monotonic()
    cohorts = draw_cohorts(args.heads or output / "heads", before=4, season=12, unseen=3)
    place = Place(output / "studies", output / "models", output / "work")
    logger.info("the first version")
    prepare(plan, place, cohorts)
    write_readers(place.studies)
    log = output / "server.log"
    server = ServerProcess(Serving(place.studies, place.models, log, server_arguments()))
    try:
        server.start()
        server.wait_until_ready()
        season = play(plan, place, cohorts, server.url, on_step=logger.info)
    finally:
        server.stop()
        left = end_trainers(place.studies)
    wrong = what_is_wrong(season) + [f"a trainer was left: {job}" for job in left]
    told = {
        "plan": {**dataclasses.asdict(plan), "task": plan.task.value},
        "conf": dict(SERVER_CONF),
        "minutes": (time.monotonic() - began) / 60,
        "wrong": wrong,
        **season.to_json(),
    }
    (output / "season.json").write_text(json.dumps(told, indent=1), encoding="utf-8")
    draw(season, output / "season.png")
    verdict = "\n".join(f"- {one}" for one in wrong) or "Nothing is wrong."
    text = f"{report(season)}\n{verdict}\n"
    (output / "report.md").write_text(text, encoding="utf-8")
    print(text)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
