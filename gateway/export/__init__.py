"""Readings by the million, out of the database and into files: CSV or Parquet, at constant memory."""
