"""The age of what a standby has replayed, computed from what the primary had written at each check."""

from service.standbys import Lag


def lag_after(*written: int) -> Lag:
    """Return the lag after checks that were a second apart."""
    lag = Lag()
    for number, position in enumerate(written):
        lag.add(float(number), position)
    return lag


def test_a_standby_that_has_replayed_everything_does_not_lag() -> None:
    assert lag_after(100, 200, 300).seconds(300) == 0


def test_an_idle_primary_makes_no_lag() -> None:
    assert lag_after(*[100] * 600).seconds(100) == 0


def test_a_write_after_a_long_idle_time_makes_a_short_lag() -> None:
    assert lag_after(*[100] * 600, 200).seconds(100) == 1


def test_the_lag_is_the_time_since_the_primary_was_where_the_standby_is() -> None:
    assert lag_after(100, 200, 300, 400).seconds(250) == 2


def test_what_was_written_before_the_first_check_is_at_least_as_old_as_that() -> None:
    assert lag_after(100, 200, 300).seconds(50) == 2


def test_a_standby_may_be_ahead_of_the_last_check() -> None:
    assert lag_after(100, 200).seconds(250) == 0
