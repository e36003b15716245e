"""Browser sessions with a lifecycle that can be trusted."""
