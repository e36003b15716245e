"""Reading the record: what a log says of a session, step by step. Nothing in here writes."""
