"""The pure core: what a session is, what may happen to it, and what its events amount to.

No I/O, clock, randomness or threads in here: times and ids are arguments. README.md is the theory on one page.
"""

from lifecycle.core.commands import Close, Command, Create, Expire, Extend, Fail, Record, Release, Start
from lifecycle.core.deadlines import deadline, limits
from lifecycle.core.decide import decide
from lifecycle.core.events import EVENT_TYPES, EVENTS, Cause, Config, Event, Limits, ProcessIdentity, private_fields
from lifecycle.core.evolve import ENDINGS, Session, evolve, fold, initial, leads_to
from lifecycle.core.machine import LOOKUP, diagram, fire, legal, machine
from lifecycle.core.states import ENDED, LIVE, TABLE, State, Trigger
from lifecycle.core.upcast import load
from lifecycle.core.view import SessionView, instant, moment, view

__all__ = [
    "ENDED",
    "ENDINGS",
    "EVENTS",
    "EVENT_TYPES",
    "LIVE",
    "LOOKUP",
    "TABLE",
    "Cause",
    "Close",
    "Command",
    "Config",
    "Create",
    "Event",
    "Expire",
    "Extend",
    "Fail",
    "Limits",
    "ProcessIdentity",
    "Record",
    "Release",
    "Session",
    "SessionView",
    "Start",
    "State",
    "Trigger",
    "deadline",
    "decide",
    "diagram",
    "evolve",
    "fire",
    "fold",
    "initial",
    "instant",
    "leads_to",
    "legal",
    "limits",
    "load",
    "machine",
    "moment",
    "private_fields",
    "view",
]
