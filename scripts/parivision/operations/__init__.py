"""Running the pipeline: the lock, the notebook runner, progress and the record of each task."""
