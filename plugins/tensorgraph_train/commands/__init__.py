"""The commands train, evaluate and predict: annotated plain functions, for the command line."""
