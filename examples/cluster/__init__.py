"""A director hands out workers, workers stream tokens, a client outlives the death of a worker. See README.md."""
