"""What can be tuned, one setting for all machines. Times are of the data, not of the clock."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ResidualSetting:
    """Of the models that compare each metric with the others and with its own past.

    `window_s` is the shortest window; a machine trained on slower rows gets one of `window_rows_least`
    rows. How long a hole or a calm must last is counted in windows.
    """

    window_s: float = 30.0
    window_rows_least: int = 3
    fit_share: float = 0.7
    margin: float = 1.6
    patience_rows: int = 3
    calm_ratio: float = 0.9
    calm_windows: float = 0.2
    hole_windows: float = 4.0


@dataclass(frozen=True, slots=True)
class BaselineSetting:
    """Of the models that know what energy a time and a state should take."""


@dataclass(frozen=True, slots=True)
class SingleSetting:
    """Of the models of a single channel."""


@dataclass(frozen=True, slots=True)
class ForestSetting:
    """Of the isolation forest."""


@dataclass(frozen=True, slots=True)
class SensorSetting:
    """Of the checks that tell a sensor's trouble from its machine's."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """The settings of every kind of model, and of what is done with models of all kinds.

    A refit is due after `refit_rows` rows, or `refit_share` of the rows learnt from if that is more. It
    learns from at most `memory_rows` remembered rows less those of the last `left_out_windows` windows, and
    serves from the first row `adopt_windows` windows after the row it became due at.
    """

    residual: ResidualSetting = ResidualSetting()
    baseline: BaselineSetting = BaselineSetting()
    single: SingleSetting = SingleSetting()
    forest: ForestSetting = ForestSetting()
    sensor: SensorSetting = SensorSetting()
    refit_rows: int = 60
    refit_share: float = 0.15
    left_out_windows: float = 10.0
    adopt_windows: float = 2.0
    train_rows_most: int = 12_000
    memory_rows: int = 16_000
