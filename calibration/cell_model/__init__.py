"""The planner's own model of the cells: read from a profile, fitted to a chip's own responses."""

from calibration.cell_model.data import READ_ONLY, ResponseData
from calibration.cell_model.measure import MeasureParams, measure_response
from calibration.cell_model.model import CellModel

__all__ = ["READ_ONLY", "CellModel", "MeasureParams", "ResponseData", "measure_response"]
