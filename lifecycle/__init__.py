"""Browser sessions with a lifecycle that can be trusted: every step an event, every status replayed."""
