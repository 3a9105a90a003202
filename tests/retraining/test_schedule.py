import contextlib
from collections import Counter
from datetime import datetime, time, timedelta, timezone

import pytest
from dateutil import tz
from hypothesis import given, settings
from hypothesis import strategies as st

from parotid_brachy.lib.errors import UsageError
from parotid_brachy.lib.retraining.schedule import (
    Due,
    QuietHours,
    SchedulePolicy,
    is_due,
    is_wanted,
    parse_quiet_hours,
    server_time_zone,
)

UTC = timezone.utc
BERLIN = tz.gettz("Europe/Berlin")
NIGHT = QuietHours(time(20), time(6))
NOON = datetime(2026, 5, 5, 12, tzinfo=UTC)
times = st.times().map(lambda t: t.replace(second=0, microsecond=0))


def policy(
    *, every: int | None = None, cron: str | None = None, quiet: QuietHours | None = None
) -> SchedulePolicy:
    return SchedulePolicy(every, cron, quiet, "two_step")


def due(
    wanted: SchedulePolicy, now: datetime, *, last: datetime | None = None, approved: int = 0
) -> Due | None:
    return is_due(wanted, now=now, last_started=last, approved_since_last=approved)


@given(st.integers(1, 1000), st.integers(0, 1000))
def test_a_training_is_due_from_the_wanted_number_of_approved_cases_on(
    wanted: int, approved: int
) -> None:
    assert (due(policy(every=wanted), NOON, approved=approved) is not None) == (approved >= wanted)


def test_the_reason_names_the_cases() -> None:
    found = due(policy(every=10), NOON, approved=12)
    assert found == Due("two_step", "12 newly approved cases, 10 are wanted")
    found = due(policy(every=1), NOON, approved=1)
    assert found == Due("two_step", "1 newly approved case, 1 is wanted")


def test_the_reason_names_the_time_that_was_missed_last() -> None:
    last = NOON - timedelta(days=9)
    found = due(policy(cron="0 2 * * *"), NOON, last=last)
    assert found == Due("two_step", "0 2 * * * fell due at 2026-05-05 02:00")


def test_both_reasons_are_told() -> None:
    found = due(policy(every=1, cron="0 2 * * *"), NOON, last=NOON - timedelta(days=1), approved=3)
    assert found is not None
    assert "3 newly" in found.reason
    assert "0 2 * * *" in found.reason


def test_nothing_is_due_without_number_and_times() -> None:
    assert due(policy(), NOON, approved=10_000) is None


def test_times_missed_while_the_server_was_down_make_one_training() -> None:
    nightly = policy(cron="0 2 * * *")
    assert due(nightly, NOON, last=NOON - timedelta(days=30)) is not None
    assert due(nightly, NOON + timedelta(minutes=1), last=NOON) is None
    assert due(nightly, NOON + timedelta(days=1), last=NOON) is not None


def test_a_time_is_due_in_its_very_second_and_not_before() -> None:
    two = datetime(2026, 5, 6, 2, tzinfo=BERLIN)
    nightly = policy(cron="0 2 * * *")
    assert due(nightly, two - timedelta(microseconds=1), last=two - timedelta(hours=3)) is None
    assert due(nightly, two, last=two - timedelta(hours=3)) is not None
    assert due(nightly, two + timedelta(microseconds=1), last=two) is None


def test_before_the_first_training_a_time_of_the_past_was_missed() -> None:
    assert due(policy(cron="0 2 * * *"), NOON) is not None


@settings(max_examples=25)
@given(st.integers(0, 59), st.integers(0, 23), st.sampled_from([(2026, 3, 28), (2026, 10, 24)]))
def test_a_daily_training_starts_once_a_day_when_the_clock_changes(
    minute: int, hour: int, day: tuple[int, int, int]
) -> None:
    daily = policy(cron=f"{minute} {hour} * * *")
    midnight = datetime(*day, tzinfo=BERLIN).astimezone(UTC)
    last = midnight - timedelta(microseconds=1)
    starts: Counter[object] = Counter()
    for step in range(3 * 24 * 4):
        now = (midnight + timedelta(minutes=15 * step + 14)).astimezone(BERLIN)
        if now.day < day[2] + 2 and now.month == day[1] and due(daily, now, last=last):
            last = now
            starts[(now - timedelta(minutes=14)).date()] += 1
    assert sorted(starts.values()) == [1, 1]


def test_a_time_that_comes_twice_is_due_the_first_time() -> None:
    first = datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN)
    second_earlier_by_the_clock = datetime(2026, 10, 25, 2, 10, fold=1, tzinfo=BERLIN)
    last = first - timedelta(hours=5)
    assert due(policy(cron="30 2 * * *"), second_earlier_by_the_clock, last=last) == Due(
        "two_step", "30 2 * * * fell due at 2026-10-25 02:30"
    )
    assert due(policy(cron="30 2 * * *"), second_earlier_by_the_clock, last=first) is None


def test_outside_the_quiet_hours_a_training_waits() -> None:
    nightly = policy(every=1, quiet=NIGHT)
    assert due(nightly, NOON, approved=2) is None
    assert is_wanted(nightly, now=NOON, last_started=None, approved_since_last=2) is not None
    assert due(nightly, NOON.replace(hour=20), approved=2) is not None


@given(times, times, times)
def test_quiet_hours_and_their_complement_make_a_day(start: time, end: time, clock: time) -> None:
    if start == end:
        return
    moment = datetime.combine(NOON, clock, tzinfo=UTC)
    inside = QuietHours(start, end).include(moment)
    assert inside != QuietHours(end, start).include(moment)
    assert QuietHours(start, end).include(datetime.combine(NOON, start, tzinfo=UTC))


@given(times, times)
def test_quiet_hours_are_read_as_they_are_written(start: time, end: time) -> None:
    if start != end:
        assert parse_quiet_hours(str(QuietHours(start, end))) == QuietHours(start, end)


@pytest.mark.parametrize(
    "text", ["", "20-6", "20:00", "24:00-06:00", "20:60-06:00", "06:00-06:00", "٢٠:00-06:00"]
)
def test_what_is_no_period_of_a_day_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="quiet hours"):
        parse_quiet_hours(text)


@given(st.text(max_size=200) | st.text("0123456789*/,-L#SUNW ", max_size=40))
def test_any_text_is_a_cron_expression_that_falls_due_or_refused(text: str) -> None:
    with contextlib.suppress(UsageError):
        assert due(policy(cron=text), NOON) is not None


@pytest.mark.parametrize(
    "cron", ["", "@daily", "0 2 * *", "0 0 2 * * *", "61 * * * *", "0 0 30 2 *", "9" * 5000]
)
def test_a_cron_expression_that_makes_no_sense_is_refused(cron: str) -> None:
    with pytest.raises(UsageError, match="cron expression"):
        policy(cron=cron)


@pytest.mark.parametrize("every", [0, -3])
def test_a_number_below_one_is_refused(every: int) -> None:
    with pytest.raises(UsageError, match="1 or more"):
        policy(every=every)


def test_a_schedule_without_task_is_refused() -> None:
    with pytest.raises(UsageError, match="task"):
        SchedulePolicy(1, None, None, " ")


def test_times_without_time_zone_are_refused() -> None:
    naive = NOON.replace(tzinfo=None)
    for now, last in ((naive, NOON), (NOON, naive)):
        with pytest.raises(UsageError, match="time zone"):
            due(policy(every=1), now, last=last)
    with pytest.raises(UsageError, match="time zone"):
        QuietHours(time(1, tzinfo=UTC), time(2))


def test_the_servers_time_zone_is_the_clocks() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    assert moment.astimezone(server_time_zone()).utcoffset() == moment.astimezone().utcoffset()
