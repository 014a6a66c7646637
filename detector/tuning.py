"""What can be tuned, one setting for all machines. Times are of the data, not of the clock."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ResidualSetting:
    """Of the models that compare each metric with the others and with its own past.

    `window_s` is the shortest window: shorter ones miss faint faults in the noise, longer ones tell late
    both that a fault began and that it is over. A machine trained on slower rows gets one of
    `window_rows_least` rows. The threshold is `margin` times the highest score of training, at least
    `sigmas`. How slow metrics wander is measured on `folds` stretches of training, each judged by what the
    others taught. An episode ends when the score stays below `calm_ratio`, or below `fade_ratio` of the
    episode's highest, for `calm_windows`: what remains of a large fault is a machine that has changed, not a
    fault that goes on. How long a hole or a calm must last is counted in windows.
    """

    window_s: float = 20.0
    window_rows_least: int = 3
    sigmas: float = 3.6
    margin: float = 1.15
    folds: int = 8
    patience_rows: int = 3
    calm_ratio: float = 0.9
    fade_ratio: float = 0.3
    calm_windows: float = 0.3
    hole_windows: float = 6.0


@dataclass(frozen=True, slots=True)
class BaselineSetting:
    """Of the models that know what energy a time and a state should take.

    Figures of the quiet level are natural logarithms: 0.1 is 10 %. The level is the median of `level_days`
    days, of each the `level_quantile` of its quiet rows: three weeks forget a season, not a fault. A quiet
    row counts as the lower ones of the last `filter_rows` (the one of `filter_rank` from below), for what a
    plant does now and then only adds. What lies more than `allowed` above the level, nearly twice as much as
    quiet days differ, adds to a sum, at most `step` a row (`step_large` from `standby_from` on, which is no
    drift). The alarm opens at `alarm_sum`: quarter-hourly after two quiet hours of twice as much, five of a
    fifth more, a night of a seventh. It never sums up to more than `sum_most` times that, and only from
    `hold_from` times on is it held through production, where the level cannot be seen; it ends below
    `close_ratio`, or when `back_rows` of the last six quiet rows are below `back_ratio` of the fault. After
    `accept_days` a new level is how things are. A cell of the calendar counts the less the more it varies, at
    least `weight_least`.

    A spike is `spike_ratio` times its quiet neighbours and `spike_of_mean` of the mean above them;
    `spike_count` in `spike_s` make an alarm, held for `spike_hold_s`; one that is `over_highest` times the
    most of training is one by itself. Nothing, or the same value, must last longer than in training, by
    `still_more` rows and for at least `none_least` or `same_least` rows. A training with more than
    `alarms_a_week` raises its own limits until it has no more.
    """

    level_days: int = 20
    level_quantile: float = 0.45
    filter_rows: int = 10
    filter_rank: int = 1
    allowed: float = 0.08
    step: float = 0.10
    step_large: float = 0.25
    standby_from: float = 0.5
    alarm_sum: float = 2.0
    sum_most: float = 1.25
    hold_from: float = 1.06
    close_ratio: float = 0.5
    back_ratio: float = 0.4
    back_rows: int = 5
    accept_days: float = 7.0
    weight_least: float = 0.2
    spike_ratio: float = 1.9
    spike_of_mean: float = 0.2
    spike_count: int = 2
    spike_s: float = 8 * 3600.0
    spike_hold_s: float = 3600.0
    over_highest: float = 1.05
    still_more: int = 2
    none_least: int = 1
    same_least: int = 5
    alarms_a_week: float = 0.5
    train_days_least: float = 7.0


@dataclass(frozen=True, slots=True)
class SingleSetting:
    """Of the models of a single channel, which learn on with every step.

    A step is a row, or as many as last `step_least_s`, so that a fast channel does not call noise of seconds
    strange: what is rare a step is rare a week only if steps are few. The stretch compared has weights that
    fall by a factor e in `echo_steps`; stretches that ended less than `lags` steps ago are the present, those
    of the last `memory_steps` the past, of which the `nearest` count. The usual limit of distances is
    exceeded by `beyond_ratio` of them, and follows the last `fading_steps`; distances below `finest_ratio` of
    the values' spread are no distances. The score is 1 at `threshold` times the root of the mean excess of
    the logarithms beyond the limit, which is taken to be `excess_least` at least: short tails are a sign of
    too few distances, not of certainty. Once told, a surprise silences the next `quiet_steps`, all but what
    is `louder` times as strange. Learning takes `steps_least` steps, and the newest `learn_steps` are enough:
    older distances have faded.
    """

    step_least_s: float = 300.0
    lags: int = 24
    echo_steps: float = 12.0
    memory_steps: int = 1200
    nearest: int = 3
    beyond_ratio: float = 0.05
    fading_steps: float = 2000.0
    excess_least: float = 0.2
    finest_ratio: float = 0.01
    threshold: float = 0.7
    quiet_steps: int = 150
    louder: float = 3.0
    calm_ratio: float = 0.9
    calm_steps: float = 12.0
    steps_least: int = 100
    learn_steps: int = 4000


@dataclass(frozen=True, slots=True)
class ForestSetting:
    """Of the isolation forest.

    `contamination` is the share of the training rows that lie at or above the threshold, 0 to 0.5. It is not
    the share of rows that alarm: an episode waits for more rows in a row than training ever had above it,
    at least `patience_rows`, at most `patience_rows_most`. So a higher share finds fainter and later, and
    where training had longer runs than the most, they alarm. `trees` of `samples` rows each cost a machine
    about 7 bytes for each of these rows. `outside_ranges` is how many times the range of training a window's
    mean may lie outside of it, whatever the trees say.
    """

    contamination: float = 0.002
    trees: int = 64
    samples: int = 128
    window_s: float = 30.0
    window_rows_least: int = 3
    outside_ranges: float = 2.0
    patience_rows: int = 3
    patience_rows_most: int = 120
    patience_margin: float = 1.6
    calm_ratio: float = 0.9
    calm_windows: float = 0.2
    hole_windows: float = 4.0


@dataclass(frozen=True, slots=True)
class SensorSetting:
    """Of the checks that tell a sensor's trouble from its machine's.

    Stuck is a value that came `stuck_factor` times as often in a row as ever in training, and for at least
    `stuck_s`; a metric that stood still for more than `still_most_s` and `still_most_periods` in training, or
    changed fewer than `changes_least` times, cannot be told to be stuck. Missing is what came with
    `present_least` of the training rows and has not come for `missing_periods` periods and `missing_s` while
    others came. What is out of range is masked at once and told after `strange_rows` rows. A trouble ends
    after `good_rows` good rows over `good_s`. Rows further apart than `gap_periods` periods and `gap_s` say
    nothing of each other.
    """

    stuck_factor: float = 5.0
    stuck_s: float = 60.0
    still_most_s: float = 1800.0
    still_most_periods: float = 5.0
    changes_least: int = 30
    present_least: float = 0.9
    missing_periods: float = 10.0
    missing_s: float = 60.0
    strange_rows: int = 3
    good_rows: int = 3
    good_s: float = 10.0
    gap_periods: float = 5.0
    gap_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Tuning:
    """The settings of every kind of model, and of what is done with models of all kinds.

    A refit is due after `refit_rows` rows, or `refit_share` of the rows learnt from if that is more, and once
    the memory is full of all rows there have been, so the more seldom the longer a machine is known. It
    learns from at most `memory_rows` remembered rows less those of the last `left_out_windows` windows, for
    a fault may go unseen so long, and serves from the first row `adopt_windows` windows after the row it
    became due at. When the memories of all machines would take more than `memory_bytes`, each keeps its share
    of that.
    """

    residual: ResidualSetting = ResidualSetting()
    baseline: BaselineSetting = BaselineSetting()
    single: SingleSetting = SingleSetting()
    forest: ForestSetting = ForestSetting()
    sensor: SensorSetting = SensorSetting()
    refit_rows: int = 60
    refit_share: float = 0.15
    left_out_windows: float = 20.0
    adopt_windows: float = 2.0
    train_rows_most: int = 12_000
    memory_rows: int = 16_000
    memory_bytes: int = 2 * 1024**3
