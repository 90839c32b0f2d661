"""The lag of a standby, computed from the primary's positions at earlier checks."""

from service.standbys import Lag


def lag_after(*positions: int) -> Lag:
    """Return the lag after checks that were a second apart and found these positions of the primary."""
    lag = Lag()
    for number, position in enumerate(positions):
        lag.add(float(number), position)
    return lag


def test_a_standby_that_has_replayed_everything_does_not_lag() -> None:
    assert lag_after(100, 200, 300).seconds(300) == 0


def test_an_idle_primary_causes_no_lag() -> None:
    assert lag_after(*[100] * 600).seconds(100) == 0


def test_a_write_after_a_long_idle_period_causes_a_short_lag() -> None:
    assert lag_after(*[100] * 600, 200).seconds(100) == 1


def test_the_lag_is_the_time_since_the_primary_was_where_the_standby_is() -> None:
    assert lag_after(100, 200, 300, 400).seconds(250) == 2


def test_a_write_before_the_first_check_is_taken_to_be_as_old_as_that_check() -> None:
    assert lag_after(100, 200, 300).seconds(50) == 2


def test_a_standby_may_be_ahead_of_the_last_check() -> None:
    assert lag_after(100, 200).seconds(250) == 0
