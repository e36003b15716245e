"""The log: the port every log fulfils, the codec of its envelopes, the memory log and the SQLite log."""
