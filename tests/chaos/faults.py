"""Every fault that was thought of, and the tests that show what happens then. docs/reference/faults.md is made of this.

    python -m tests.chaos.faults            writes the page

A row: its id, the fault, what happens, and the tests; or, in place of tests, a sentence that says why it cannot happen.
`client/test_launch::a_browser_that_fails` is tests/client/test_launch.py::test_a_browser_that_fails, and
`kit/log_contract::x` the check_x of lifecycle/testing/log_contract.py. test_faults.py holds all of them against the
test suite: a name that is no test any more, or a row without one, fails there.
"""
# ruff: noqa: E501  # a table: one fault, one line

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

__all__ = ["FAULTS", "GROUPS", "PAGE", "Fault", "defined", "page"]

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs/reference/faults.md"

GROUPS: Final = {
    "A": "Death between launch and append",
    "B": "Browser, driver, host",
    "C": "Identity and time",
    "D": "Storage",
    "E": "Many processes",
    "F": "Inside one process",
    "G": "Events and what is in them",
    "H": "Ids, paths, SQL",
    "I": "Secrets and local attackers",
    "J": "Scale and misuse",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """What can go wrong, what happens then, and the tests that show it, or why it can't go wrong."""

    id: str
    fault: str
    then: str
    shown: tuple[str, ...] | str

    def tests(self) -> tuple[tuple[str, str], ...]:
        """File and function of each test."""
        return () if isinstance(self.shown, str) else tuple(_place(name) for name in self.shown)


def _place(name: str) -> tuple[str, str]:
    file, _, function = name.partition("::")
    if file.startswith("kit/"):
        return f"lifecycle/testing/{file.removeprefix('kit/')}.py", f"check_{function}"
    return f"tests/{file}.py", f"test_{function}"


@cache
def defined(file: str) -> frozenset[str]:
    """The functions and methods that *file* defines."""
    path = ROOT / file
    if not path.is_file():
        return frozenset()
    tree = ast.parse(path.read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, kinds))


_KILLED: Final = "chaos/test_browsers::whoever_is_killed_nothing_is_lost_and_nothing_is_left"
_POINTS: Final = "chaos/test_crash_points::a_process_killed_at_any_point_leaves_a_true_record_and_nothing_else"
_POWER: Final = "chaos/test_disk_faults::no_power_cut_loses_what_was_acknowledged"
_EVERY: Final = "chaos/test_disk_faults::whatever_happens_at_any_operation_nothing_acknowledged_is_lost"

_ROWS: Final[tuple[tuple[str, str, str, tuple[str, ...] | str], ...]] = (
    ("A1", "killed before `created` is committed", "nothing recorded, nothing launched", (_POINTS, _KILLED, "log/test_processes::a_writer_killed_at_any_statement_of_an_append_leaves_all_of_it_or_nothing")),
    ("A2", "killed after `created`, before the browser is spawned", "the next `reconcile` ends the session as `failed/keeper_lost`", ("client/test_reconcile::a_live_session_without_keeper_fails_and_its_browser_is_ended", _POINTS, _KILLED)),
    ("A3", "killed after the spawn, before `started`", "no browser is left; the session is ended with a cause", (_POINTS, _KILLED, "client/test_launch::ctrl_c_at_any_moment_of_the_start")),
    ("A4", "killed after `started` is committed, before the caller has the object", "the keeper sees the owner's death: `closed/owner_exited`, or another process attaches by id where it is kept", (_POINTS, _KILLED, "client/test_blocks::a_kept_session_outlives_its_script")),
    ("A5", "killed during a stop: browser dead, ending not written", "exactly one ending, written by the keeper or by `reconcile`", (_POINTS, _KILLED, "adapters/chromium/test_keeper::owner_and_keeper_killed_together_are_told_by_the_next_reconcile")),
    ("A6", "killed during a stop: ending written, browser alive", "the browser is ended, `released` follows, no second ending", ("client/test_reconcile::an_ended_session_without_keeper_is_released_with_no_second_ending", _POINTS, _KILLED)),
    ("A7", "`created` not durable when the browser starts", "`created` is committed before a browser is spawned, and with synchronous=FULL, the default, such a commit survives", (_POWER, "log/test_wal::durability_is_what_sqlite_says_it_is")),
    ("A8", "the launch raises: no executable, bad flags, no display", "`failed/launch_failed` with the browser's last words, or a refusal before anything is recorded", ("client/test_launch::a_browser_that_fails", "client/test_launch::what_is_no_program_is_refused_before_anything_is_recorded")),
    ("A9", "the launch hangs", "it is given up, its processes are ended, `failed/launch_failed`", ("client/test_launch::a_browser_that_hangs_is_given_up", "adapters/chromium/test_launch::what_never_answers_is_given_up_and_ended")),
    ("A10", "the append of `started` fails after the launch", "the browser is ended, the error is told, nothing runs on", ("chaos/test_stopped::a_log_that_refuses_started_gets_no_real_browser_that_runs_on", "chaos/test_refused::a_log_that_refuses_started_gets_no_browser_that_runs_on")),
    ("A11", "one session id launched by two processes", "the second `created` is refused: NO_STREAM is held by the log", ("kit/append_contract::every_expectation_is_enforced", "kit/append_contract::of_many_threads_with_one_expectation_one_wins")),
    ("B1", "the browser is SIGKILLed", "`failed/browser_crashed` with the signal, once; the blocked call is freed", ("client/test_underneath::a_killed_browser_frees_a_blocked_call", "client/test_underneath::a_browser_that_dies_while_the_script_sleeps", _KILLED)),
    ("B2", "Playwright's driver is SIGKILLed", "the session goes on; `page` comes back with a new driver", ("client/test_underneath::a_killed_playwright_driver_ends_nothing_and_page_comes_back", _KILLED)),
    ("B3", "the script is SIGKILLed or terminated", "`closed/owner_exited`, browser and profile gone", ("adapters/chromium/test_keeper::a_killed_owner_ends_its_sessions", "client/test_blocks::a_signal_that_ends_the_script_at_once", _KILLED)),
    ("B4", "one page crashes", "the session stays active; `page_crashed` is recorded", ("client/test_underneath::a_crashed_page_is_not_a_crashed_browser", _KILLED)),
    ("B5", "the browser is frozen (SIGSTOP)", "nothing waits for it for ever; it is killed after the grace, by its group", ("chaos/test_stopped::whoever_is_stopped_the_session_ends_at_its_deadline", "adapters/chromium/test_process::a_real_browser_is_found_and_ended_with_stopped_renderers", "client/test_keeping::a_deaf_browser_is_killed_after_the_grace", "adapters/chromium/test_keeper::a_stopped_keeper_keeps_no_browser_alive_past_the_deadline")),
    ("B6", "a zombie, where a container has no init", "it counts as dead; what a browser leaves behind, its keeper reaps", ("adapters/chromium/test_process::a_zombie_is_dead", "client/test_underneath::browsers_leave_no_zombies_where_there_is_no_init")),
    ("B7", "a reboot", "another boot id: the sessions are ended, no pid is signalled", ("adapters/chromium/test_process::here_is_this_machine_even_after_its_name_or_its_boot_changed", "client/test_reconcile::a_live_session_without_keeper_fails_and_its_browser_is_ended")),
    ("B8", "a container restarts: the same pids, the same boot id", "the pid namespace is part of the identity: no process is signalled; the keeper has let go of its lock, so the session is keeper_lost and its profile and endpoint go", ("chaos/test_surroundings::a_container_that_is_started_again_takes_no_stranger_for_its_browser", "chaos/test_surroundings::a_session_of_another_pid_namespace_is_left_alone", "adapters/chromium/test_process::here_is_this_machine_even_after_its_name_or_its_boot_changed", "client/test_reconcile::a_live_session_of_another_host_is_left_alone")),
    ("B9", "the endpoint answers but is another browser", "there is no port of the browser's to be taken over; the gate knows a session by its token", ("adapters/chromium/test_gate::one_session_s_token_does_not_open_another_s_door",)),
    ("B10", "a stale `DevToolsActivePort` after SIGKILL", "none is ever made", "Chromium is launched with a pipe and has no DevTools port, so the file does not exist and nothing reads it."),
    ("B11", "a second launch on a living profile", "`failed/launch_failed`; no second browser is started on it", ("client/test_look::a_profile_of_ones_own_stays_and_serves_one_session_at_a_time",)),
    ("B12", "`close()` on a browser that was only attached to", "it runs on", ("client/test_underneath::disconnecting_playwrights_browser_ends_nothing", "adapters/playwright/test_attach::a_block_uses_it_records_it_and_leaves_it_running", "client/test_external::it_is_used_and_left_running")),
    ("B13", "a remote browser goes away", "`failed/browser_lost`", ("client/test_external::its_loss_is_browser_lost_for_nobody_saw_how_it_ended",)),
    ("B14", "the disk under the profile is full", "the browser works on or does not come up; the ending and its cause are right", ("chaos/test_surroundings::a_full_disk_under_the_profile",)),
    ("B15", "a page, or the browser, runs out of memory", "`page_crashed`, or `failed/browser_crashed`", ("chaos/test_surroundings::no_memory_left",)),
    ("B16", "a keeper of twenty browsers dies", "each session is ended as `failed/keeper_lost`, no browser is left", ("chaos/test_stopped::twenty_sessions_at_once_all_end_when_their_keeper_dies",)),
    ("B17", "files of killed processes pile up beside the log", "the next `reconcile` removes them", ("adapters/chromium/test_sweep::the_files_of_dead_keepers_and_released_sessions_go", _POINTS)),
    ("B18", "a keeper dies while the log takes no events", "`failed/keeper_lost` as soon as it takes them", ("client/test_guard::a_lost_keeper_is_recorded_once_the_log_takes_it",)),
    ("B19", "a keeper fails with one session, for want of descriptors for example", "the browser is ended and `failed/keeper_lost` recorded with the error; its other sessions go on", ("client/test_keeping::what_no_rule_provides_for_ends_the_session_in_the_record_too",)),
    ("B20", "the browser dies just before it is stopped, and its keeper is slow to say so", "`failed/browser_crashed`: the script's ending waits for what the keeper saw", ("client/test_underneath::a_browser_that_died_before_it_was_stopped_has_crashed", "adapters/playwright/test_launch::closing_a_browser_that_died_is_no_stop", "adapters/chromium/test_serving::a_browser_that_has_closed_its_pipe_is_given_the_moment_it_takes_to_be_gone")),
    ("B21", "Playwright's driver hangs: it never answers, or stops to", "it is ended after 30 s (5 s, once it was up): `failed/launch_failed`, or a new driver; no ending waits for it", ("client/test_launch::a_driver_that_never_answers_fails_the_session", "client/test_launch::a_driver_that_never_answers_leaves_a_session_that_runs_alone", "client/test_kept_driver::one_that_has_stopped_answering_is_replaced", "client/test_kept_driver::a_loop_s_that_has_stopped_answering_holds_nothing_up", "client/test_kept_driver::ending_a_session_waits_for_no_driver_that_has_stopped")),
    ("B22", "the script's process has no file descriptor left when it stops", "the keeper has its own, and ends the browser", ("client/test_handle::without_a_file_descriptor_a_session_is_stopped_by_its_keeper_as_ever", "client/test_handle::a_browser_that_can_not_be_ended_for_want_of_them_is_an_error_that_says_so")),
    ("C1", "a pid is used again", "the other process is never signalled", ("adapters/chromium/test_process::another_process_with_the_same_pid_is_left_alone", "chaos/test_surroundings::a_pid_that_is_used_again_is_left_alone")),
    ("C2", "a process's start time shifts when the clock steps", "start times are ticks since boot, not wall time", ("adapters/chromium/test_process::a_process_is_identified_the_same_every_time",)),
    ("C3", "the wall clock goes back between two events", "order comes from versions; no event is earlier than the one before; a duration never shrinks", ("core/test_decide::a_clock_behind_the_history_counts_as_the_last_event", "core/test_decide::a_clock_that_stepped_back_never_un_expires_a_session", "chaos/test_clock::a_clock_that_jumps_breaks_no_history")),
    ("C4", "the clock jumps forward by a day", "D is wall time: the session is timed out at D, and the step stands in the evidence", ("client/test_keeping::a_clock_step_stands_in_the_evidence_of_the_ending", "chaos/test_clock::a_clock_that_jumps_breaks_no_history")),
    ("C5", "suspend and resume", "a suspend counts; the keeper rereads the clock every second", ("client/test_keeping::nothing_due_writes_nothing_and_sleeps_at_most_a_second", "client/test_keeping::a_clock_step_stands_in_the_evidence_of_the_ending")),
    ("C6", "monotonic values are compared across boots or hosts", "no reading of a monotonic clock is ever stored; start times of processes are compared within one boot only", ("chaos/test_refused::no_monotonic_time_is_ever_stored", "adapters/chromium/test_process::another_process_with_the_same_pid_is_left_alone")),
    ("C7", "a naive datetime is passed", "refused by name", ("core/test_view::a_naive_datetime_is_refused_by_name",)),
    ("C8", "the hour that daylight saving repeats", "converted to UTC when it comes in", ("core/test_view::a_datetime_of_any_zone_is_the_instant_it_names", "cli/test_text::midnight_is_this_machines_on_the_day_of_daylight_saving")),
    ("C9", "years that can't be recorded", "refused, or clamped where it is a clock's reading", ("core/test_events::a_time_is_whole_microseconds_within_what_can_be_recorded", "core/test_decide::a_clock_outside_of_recordable_time_is_clamped_to_it")),
    ("C10", "two events of the same microsecond", "fine: order is the version's", ("core/test_invariants::every_invariant_holds_over_runs_and_all_are_exercised", "client/test_sessions::sessions_of_the_same_instant_are_paged_without_loss")),
    ("C11", "a timeout that is NaN, infinite, negative, True or a text", "refused by name with what is allowed", ("core/test_deadlines::any_other_value_is_refused_by_name_with_what_is_allowed", "client/test_bad_input::a_wrong_argument_of_session_is_named")),
    ("D1", "the disk is full", "`LogUnavailable`, nothing written; it works again when there is room; verbs that only read go on, from a private copy", ("log/test_disk::a_full_disk_is_met_and_freed", "log/test_disk::a_log_can_not_be_made_on_a_full_disk_and_can_when_it_is_free", "log/test_read_only::on_a_full_disk_a_log_that_nobody_has_open_is_read", "client/test_handle::a_start_that_was_refused_with_nothing_recorded_may_be_tried_again", _EVERY)),
    ("D2", "a quota, or RLIMIT_FSIZE", "the same", ("log/test_disk::a_limit_on_the_file_s_size_is_met_and_lifted",)),
    ("D3", "no file descriptors left", "`LogUnavailable`, and it passes", ("log/test_disk::out_of_file_descriptors_is_said_and_passes",)),
    ("D4", "EIO in a write or a sync", "the event's id decides whether it stands; then it is an acknowledgement, otherwise an error", (_EVERY, "log/test_disk::an_error_after_the_commit_is_no_error", "log/test_disk::an_error_before_the_commit_leaves_nothing")),
    ("D5", "a file or directory that may only be read", "it is read in place, or from a private copy with its -wal; never as immutable", ("log/test_read_only::a_log_is_read_where_nothing_may_be_written", "log/test_users::in_a_directory_that_may_not_be_written_a_log_can_be_read")),
    ("D6", "the -wal file is deleted", "`verify` against a kept checkpoint fails; without one nothing can show it", ("chaos/test_damage::what_a_missing_write_ahead_log_took_shows_against_a_checkpoint", "audit/test_verify::a_torn_write_ahead_log_is_found_with_the_checkpoint")),
    ("D7", "the -wal file is truncated", "a prefix of the history is left, sound in itself; `verify` against a kept checkpoint fails", ("chaos/test_damage::a_write_ahead_log_cut_anywhere_leaves_a_sound_prefix", "audit/test_verify::a_torn_write_ahead_log_is_found_with_the_checkpoint")),
    ("D8", "the database is truncated", "named on opening or by `verify`", ("audit/test_verify::a_truncated_file_is_found", "chaos/test_damage::a_database_cut_anywhere_is_named")),
    ("D9", "the file is cut to nothing or replaced by an empty one", "refused unless a log is to be made; noticed by whoever has it open", ("log/test_making::a_file_cut_short_is_not_taken_for_a_new_log", "log/test_opening::a_file_removed_or_replaced_while_open_is_noticed", "log/test_opening::an_empty_file_becomes_a_log")),
    ("D10", "a file of garbage", "`NotALog`, and the file is left alone", ("log/test_opening::an_unsuitable_file_is_named_and_left_alone", "cli/test_bad_input::a_file_that_is_not_ours_is_left_alone")),
    ("D11", "single bits are flipped", "found, or nothing of the record is touched; only our errors are raised", ("log/test_making::single_bits_flipped_give_our_errors_only", "chaos/test_damage::a_flipped_bit_is_found_or_touches_no_event", "audit/test_verify::a_flipped_byte_in_the_file_is_found")),
    ("D12", "the log of a newer library", "refused with a sentence; events of a newer form are read past", ("cli/test_bad_input::a_log_of_a_newer_library_is_left_alone", "client/test_newer_version::whoever_reads_it_is_told")),
    ("D13", "the log of an older library", "histories that were recorded once, and never change, replay to the same sessions", ("histories/test_histories::a_recorded_history_replays_and_comes_out_the_same", "core/test_upcast::33_an_old_event_folds_like_the_one_it_became")),
    ("D14", "killed while a log is made or migrated", "a new log or none; never between", ("log/test_making::a_process_killed_at_any_statement_of_making_a_log_leaves_a_new_one_or_none", "projections/test_rebuild::a_rebuild_killed_at_any_statement_breaks_nothing")),
    ("D15", "two processes make or migrate it at once", "one does, the other waits", ("log/test_making::eight_processes_open_a_new_log_at_once",)),
    ("D16", "somebody else's SQLite file", "refused and left alone", ("cli/test_bad_input::another_programs_database_is_left_alone", "log/test_opening::an_unsuitable_file_is_named_and_left_alone")),
    ("D17", "a log on a network file system", "no WAL there; a log that is in WAL mode already is only read", ("log/test_wal::on_a_network_filesystem_there_is_no_wal",)),
    ("D18", "a copy made while writers go on", "`backup` is whole and verifies", ("audit/test_carry::a_backup_is_the_log_and_writers_go_on",)),
    ("D19", "a SQLite with the WAL-reset bug", "recognised; our own checkpoints hold the write lock and lose nothing where a plain program loses", ("log/test_wal::the_versions_with_the_wal_reset_bug", "log/test_wal::the_reason_names_the_bug_where_it_is", "chaos/test_wal_reset::our_checkpoints_lose_nothing", "chaos/test_wal_reset::plain_wal_loses_commits_where_sqlite_has_the_bug", "chaos/test_wal_reset::foreign_checkpoints_beside_our_writers")),
    ("D20", "the file is removed or renamed while it is open", "noticed at the next call", ("log/test_opening::a_file_removed_or_replaced_while_open_is_noticed",)),
    ("E1", "many processes stop one session", "one ending", ("kit/log_processes::of_many_processes_that_end_a_session_one_does", "client/test_start_stop::stop_of_many_clients_is_one_ending")),
    ("E2", "a timeout races with a stop", "one ending, the same for both", ("client/test_underneath::a_stop_that_comes_late_records_the_timeout", "kit/append_contract::a_session_ends_at_most_once")),
    ("E3", "an append after the ending", "refused by the database itself, whoever writes", ("kit/append_contract::a_session_ends_at_most_once", "log/test_append_only::a_foreign_connection_can_not_rewrite")),
    ("E4", "one expected version twice", "one of them is told `WrongVersion`", ("kit/append_contract::of_many_threads_with_one_expectation_one_wins",)),
    ("E5", "a lock held for longer than the timeout", "`LogUnavailable` after that time, nothing written", ("log/test_processes::a_foreign_process_that_keeps_the_lock_is_waited_for_and_then_named",)),
    ("E6", "SQLITE_BUSY_SNAPSHOT", "never: every append begins IMMEDIATE", ("log/test_processes::a_foreign_writer_outside_the_queue_is_waited_for_each_time",)),
    ("E7", "several first opens at once", "all of them open", ("log/test_making::eight_processes_open_a_new_log_at_once",)),
    ("E8", "a writer is killed with the lock in its hands", "the kernel gives it back; the next one goes on", ("chaos/test_writers::writers_that_are_killed_lose_nothing_they_were_told", "log/test_processes::eight_writers_some_of_them_killed", "kit/log_processes::killed_writers_lose_nothing_they_were_told_and_block_nobody")),
    ("E9", "a reader that stays open for long", "reading holds no cursor open between pages", ("projections/test_sessions::a_list_without_a_limit_holds_no_cursor_open", "log/test_wal::a_foreign_reader_puts_the_cut_off_but_stops_nobody")),
    ("E10", "the write-ahead log grows", "it is cut once it has 16 MiB, or when readers in other programs let it", ("log/test_wal::the_write_ahead_log_stays_short_under_many_writers",)),
    ("E11", "another program checkpoints the log", "said by `durability.why` and `doctor` where this SQLite has the bug", ("log/test_wal::the_reason_names_the_bug_where_it_is", "cli/test_doctor::versions_journal_log_and_adapters")),
    ("E12", "everybody tries again at once", "writers queue in the order of asking", ("log/test_turnstile::turns_come_in_the_order_of_asking", "log/test_turnstile::waiting_has_an_end_and_who_gave_up_is_in_nobody_s_way")),
    ("E13", "hosts whose clocks differ", "one host per log; another host's session is only expired", ("client/test_reconcile::a_session_of_another_host_past_its_deadline_times_out_and_nothing_is_claimed_of_its_browser",)),
    ("E14", "a process is stopped (SIGSTOP) in the middle of an append", "nobody can write until it goes on or dies; browsers are ended at their deadlines all the same, and the endings are written afterwards", ("chaos/test_stopped::a_process_stopped_in_the_middle_of_an_append_keeps_no_browser_alive", "adapters/chromium/test_keeper::a_log_that_refuses_the_ending_keeps_no_browser_alive")),
    ("E15", "two sessions save into one cookie file at once", "in turn; each finds what the other has put there", ("client/test_cookies::sessions_that_save_into_one_file_at_once_keep_each_other_s",)),
    ("F1", "a fork with an open log", "the child opens its own; both are kept. In the middle of verify, rebuild or backup it is refused the log", ("log/test_fork::parent_and_child_both_append_and_both_are_kept", "log/test_fork::a_fork_while_other_threads_append_does_not_hang_the_child", "log/test_fork::who_reads_ahead_lets_go_for_a_fork_and_goes_on_after_it", "log/test_fork::a_child_forked_out_of_a_long_reading_can_not_use_the_log", "log/test_fork::a_log_that_is_opened_in_the_middle_of_a_fork_waits_for_its_end")),
    ("F2", "the file is opened beside SQLite in one process", "the library never does", ("log/test_reading::the_file_is_never_opened_beside_sqlite",)),
    ("F3", "a second SQLite library in the process", "one module imports it, the one that sqlite-utils takes", ("log/test_reading::there_is_one_sqlite_in_the_process",)),
    ("F4", "use from several threads", "they take turns", ("log/test_processes::threads_of_one_process_take_turns",)),
    ("F5", "Ctrl-C in an append", "no half event, no lock kept, no transaction left open", ("log/test_processes::an_interrupt_storm_leaves_no_half_event_and_no_lock", "log/test_processes::an_interrupt_in_the_middle_of_giving_back_gives_back_all_the_same")),
    ("F6", "a task is cancelled while it appends", "the append happens or not; the client finds out before it goes on", ("chaos/test_refused::a_task_that_is_cancelled_in_an_append_knows_nothing_and_the_log_all", "chaos/test_refused::a_storm_of_cancellations_loses_nothing_and_doubles_nothing", "client/test_async_api::cancelling_the_end_still_ends")),
    ("F7", "`asyncio.timeout` around a start or a stop", "no browser is left, and there is a cause", ("client/test_async_api::a_cancelled_start_leaves_no_browser_and_a_cause", "client/test_async_blocks::a_timeout_of_asyncios_own_is_a_cancellation")),
    ("F8", "exception groups, nested cancellation", "one ending", ("client/test_async_blocks::a_sibling_that_fails_in_a_task_group_cancels_the_block",)),
    ("F9", "a generator is abandoned in its block", "the session is closed", ("client/test_blocks::a_generator_that_is_closed_in_its_block", "client/test_async_blocks::an_async_generator_that_is_closed_in_its_block")),
    ("F10", "a block entered twice, or used after its end", "`AlreadyStarted`, `SessionEnded`", ("client/test_start_stop::a_second_start_is_refused_in_every_state", "client/test_underneath::after_the_deadline_every_use_says_so")),
    ("F11", "the interpreter shuts down with sessions open", "silently; the keeper closes them", ("client/test_blocks::a_script_that_never_stops_its_session", "adapters/playwright/test_ends::the_interpreter_ends_silently_with_its_driver")),
    ("F12", "an exception in the block and another while it is left", "the block's own stays", ("client/test_underneath::the_scripts_own_exception_after_a_death_stays", "client/test_blocks::left_with_an_exception_which_propagates")),
    ("F13", "a subscriber or a callback raises", "the events stand; the others are told all the same", ("adapters/chromium/test_watch::a_listener_that_fails_is_reported_and_only_its_watch_ends", "adapters/chromium/test_relay::a_callback_that_fails_costs_its_own_client_only")),
    ("F14", "state in memory moves but the append failed", "what is remembered of a session changes after the append, never before; and it only saves reading anew", ("chaos/test_refused::what_was_refused_is_nowhere", "client/test_keeping::a_log_that_refuses_facts_loses_none_of_them", "testing/test_rules::the_client_passes")),
    ("F15", "a Python without the GIL", "not supported yet", "Nothing was ever run on one; the classifiers name 3.11 to 3.13, with the lock."),
    ("F16", "an append from within an append", "refused, and the outer one goes on", ("log/test_processes::an_append_inside_an_append_is_refused_and_the_outer_one_goes_on",)),
    ("F17", "no threads, or no descriptors, are left for a moment", "writers queue all the same; the owner's watch, the queue to a browser and `on_end` go on", ("log/test_turnstile::where_no_thread_is_left_the_turn_comes_all_the_same", "client/test_guard::a_guard_outlives_whatever_goes_wrong_in_a_round", "client/test_guard::a_guard_for_which_there_was_no_thread_starts_with_the_next_session", "adapters/chromium/test_pipe::an_outbox_for_which_there_is_no_thread_goes_on_with_the_next_message")),
    ("F18", "clients that are made, used and forgotten", "their threads end with their last session, and their logs are closed", ("client/test_guard::a_guard_with_nothing_to_watch_ends_and_begins_anew", "client/test_guard::a_session_that_was_seen_to_its_end_is_watched_no_longer")),
    ("G1", "an event id twice with the same content", "the first positions again, nothing written", ("kit/append_contract::the_same_ids_again_write_nothing_and_give_the_first_positions",)),
    ("G2", "an event id twice with other content", "`EventIdReused`", ("kit/append_contract::an_id_with_other_content_is_refused", "kit/append_contract::an_id_in_another_place_is_refused")),
    ("G3", "an event of an unknown type", "kept as it is; everything else goes on", ("kit/log_contract::what_cannot_be_read_typed_harms_nobody_else", "core/test_upcast::an_unknown_type_is_reported_by_name")),
    ("G4", "a known type with missing, extra or wrong fields", "`MalformedEvent` that says where; other sessions can be read", ("core/test_upcast::what_does_not_have_the_shape_is_malformed_and_says_where", "log/test_codec::what_is_stored_wrong_is_named")),
    ("G5", "NaN or infinity in an event", "refused when it is made", ("core/test_events::what_can_not_be_recorded_is_refused_at_construction", "log/test_canonical::what_has_no_canonical_form_is_refused")),
    ("G6", "integers above 2⁵³ − 1", "refused", ("log/test_canonical::what_has_no_canonical_form_is_refused",)),
    ("G7", "lone surrogates", "refused, or replaced where it is an error's text", ("log/test_canonical::what_has_no_canonical_form_is_refused", "core/test_commands::what_can_not_be_written_is_replaced")),
    ("G8", "NUL in texts", "refused when the event is made; replaced where it is an error's text", ("core/test_events::what_can_not_be_recorded_is_refused_at_construction", "core/test_commands::what_can_not_be_written_is_replaced")),
    ("G9", "a huge event", "refused above 64 KiB before any SQL", ("log/test_codec::an_event_takes_64_kib_at_most",)),
    ("G10", "deep nesting", "refused: an annotation's data above 32 levels, anything else that is written or read above 64", ("log/test_canonical::depth_is_limited_without_recursing_into_it", "core/test_events::data_is_bounded_in_all_and_in_depth")),
    ("G11", "a number of 5,000 digits in stored JSON", "the event is malformed, not the program", ("log/test_canonical::what_canonical_never_wrote_is_not_read",)),
    ("G12", "duplicate keys in stored JSON", "the event is malformed", ("log/test_canonical::what_canonical_never_wrote_is_not_read", "cli/test_proof::an_export_that_was_cut_or_has_a_key_twice_is_named_by_its_line")),
    ("G13", "bytes, Decimal, datetime, Path or Enum in data", "refused by name", ("core/test_events::what_can_not_be_recorded_is_refused_at_construction", "log/test_canonical::what_has_no_canonical_form_is_refused")),
    ("G14", "ids that differ only in Unicode form", "ids are ASCII", ("core/test_events::a_session_id_can_be_part_of_a_path_and_is_not_the_logs_own_stream",)),
    ("H1", "SQL in ids, filters, orders", "values are bound; names come from the library", ("chaos/test_hostile_input::sql_in_any_filter_finds_nothing_and_changes_nothing", "projections/test_sessions::both_logs_refuse_the_same_questions")),
    ("H2", "`../`, absolute paths, NUL, newlines as session ids", "refused by the grammar of ids", ("core/test_events::a_session_id_can_be_part_of_a_path_and_is_not_the_logs_own_stream", "adapters/chromium/test_process::no_session_id_is_refused")),
    ("H3", "a file system without upper and lower case", "no two ids meet", "Ids that become file names are made by the library: UUIDs in lower-case hexadecimal."),
    ("H4", "`?mode=` and `#` in the log's path", "a path is a path", ("log/test_opening::a_path_is_a_path_and_never_a_uri",)),
    ("H5", "browser arguments that open another way in", "refused by name; no shell is ever between", ("adapters/chromium/test_launch::arguments_that_open_another_way_in_or_show_a_secret_are_refused",)),
    ("H6", "control characters from a page", "never reach a terminal or a log line", ("cli/test_show::control_characters_from_a_page_do_not_reach_the_terminal", "cli/test_text::printable_text_is_one_line_that_no_terminal_obeys")),
    ("H7", "a log made by an attacker", "its guards are compared on opening; views and triggers of strangers are never run", ("log/test_append_only::a_trigger_through_an_attached_file_can_not_reach_the_record", "log/test_append_only::a_writable_schema_shows_on_opening", "log/test_append_only::a_foreign_change_of_the_record_shows_on_opening")),
    ("H8", "pickle or YAML in what is stored", "there is none", ("chaos/test_hostile_input::nothing_is_unpickled_evaluated_or_run_by_a_shell",)),
    ("I1", "cookies, passwords, headers in events", "never recorded; searched for in log, files, output, errors", ("actions/test_secrets::no_secret_in_the_log_or_in_any_text", "adapters/chromium/test_keeper::nothing_secret_is_in_an_argument_or_the_log")),
    ("I2", "URLs with tokens, userinfo, signatures", "stripped to what is no secret", ("client/test_redact::a_url_keeps_what_is_no_secret", "chaos/test_hostile_input::no_canary_survives_redaction")),
    ("I3", "the gate's URL is a secret", "never in the log, a repr or an error", ("adapters/chromium/test_gate::nothing_logged_or_shown_holds_the_token", "adapters/playwright/test_errors::no_error_of_connecting_tells_the_url")),
    ("I4", "secrets in exceptions", "messages pass the redactor", ("client/test_blocks::a_credential_in_an_exception_does_not_enter_the_log", "client/test_redact::a_message_keeps_what_is_no_secret", "chaos/test_hostile_input::no_canary_survives_redaction")),
    ("I5", "locals of tracebacks in log lines", "the library logs words and numbers, never a traceback's locals", ("test_telemetry::a_configured_structlog_gets_the_event_as_data", "test_telemetry::importing_the_library_configures_nothing")),
    ("I6", "forgotten text that stays in pages of the file", "it is overwritten", ("audit/test_retention::what_is_forgotten_is_nowhere_in_the_file",)),
    ("I7", "a log that others may read", "0600, the directory of its own beside it 0700, whatever the umask", ("log/test_opening::a_new_log_is_for_its_owner_only", "log/test_users::another_user_can_not_read_a_log", "chaos/test_other_user::nothing_of_a_running_session_is_open_to_another_user")),
    ("I8", "a cookie file that others may read", "0600, replaced atomically", ("client/test_cookies::a_new_file_is_the_users_alone_whatever_the_umask", "client/test_cookies::a_failed_write_leaves_the_old_file_and_no_litter")),
    ("I9", "a symbolic link in the place of the cookie file", "neither read nor replaced", ("client/test_cookies::a_symbolic_link_is_neither_read_nor_replaced",)),
    ("I10", "names in /tmp that can be guessed", "everything is in a directory of the log's owner, checked before use", ("adapters/chromium/test_launch::a_profile_that_may_be_somebody_else_s_is_refused", "adapters/chromium/test_launch::another_user_s_profile_is_refused", "log/test_opening::a_runtime_directory_that_is_open_to_others_is_closed")),
    ("I11", "a CDP port open to local users", "there is none; the gate wants the token", ("client/test_start_stop::no_devtools_port_is_open_and_the_url_is_the_gates", "adapters/chromium/test_gate::another_user_gets_neither_in_nor_at_the_profile", "chaos/test_other_user::nothing_of_a_running_session_is_open_to_another_user")),
    ("I12", "secrets on command lines", "refused in arguments; a proxy's password goes another way", ("adapters/chromium/test_launch::arguments_that_open_another_way_in_or_show_a_secret_are_refused", "client/test_look::a_proxy_with_a_password_is_used_and_its_password_nowhere", "adapters/chromium/test_keeper::nothing_secret_is_in_an_argument_or_the_log")),
    ("I13", "core dumps and crash reports with cookies in them", "none are written", "Chromium is started with --disable-breakpad and writes no dumps; whether the kernel writes core files is its owner's setting."),
    ("I14", "a token is used after the ending, while the browser is being closed", "the gate asks the log, and refuses", ("client/test_other_processes::the_gate_is_shut_as_soon_as_the_ending_stands_in_the_log", "adapters/chromium/test_gate::who_comes_after_the_ending_is_let_in_for_looking_alone")),
    ("J1", "very many sessions", "a list costs what it returns", ("projections/test_sessions::a_list_costs_what_it_returns", "projections/test_sessions::a_page_of_a_large_log_reads_no_more_than_its_rows")),
    ("J2", "one session with very many events", "read in pages; a flood of facts is cut and the ending says by how many", ("client/test_keeping::a_flood_of_facts_is_cut_and_the_ending_says_by_how_many", "log/test_reading::a_page_has_an_upper_limit_of_its_own")),
    ("J3", "a status that replays everything", "lists and rows come from a read model of the same transaction", ("projections/test_sessions::a_row_holds_the_whole_session", "log/test_reading::a_filtered_page_looks_at_so_many_positions_and_no_more")),
    ("J4", "stopped twice, an unknown id, attached after the end", "the ending that happened; `UnknownSession`; `SessionEnded` with how", ("client/test_start_stop::stop_returns_the_ending_that_happened_and_adds_nothing", "client/test_bad_input::an_id_that_is_not_in_the_log", "client/test_other_processes::attaching_to_an_ended_session_says_how_it_ended")),
    ("J5", "two logs with the same session id", "ids hold 74 bits besides the time: 32 random ones, and 42 that count on from a random number; beside a copy of a log no living keeper is taken for gone", ("chaos/test_refused::a_copy_of_a_log_takes_no_living_keeper_for_gone", "chaos/test_refused::forked_children_make_no_id_twice", "client/test_bad_input::an_id_of_another_log_is_unknown_here")),
    ("J6", "a new library in one process, an old one in another", "events of a newer form are kept, expired and ended all the same", ("client/test_newer_version::the_keeper_expires_its_session_at_the_deadline", "client/test_newer_version::reconcile_expires_it_and_ends_its_browser")),
    ("J7", "`python -O`", "no rule lives in an `assert`", ("chaos/test_hostile_input::no_rule_lives_in_an_assert",)),
)  # fmt: skip

FAULTS: Final = tuple(Fault(*row) for row in _ROWS)

_HEAD: Final = """\
# Faults

*Reference. Made by `python -m tests.chaos.faults` from tests/chaos/faults.py; a test fails when it is not up to date, when a
fault has neither a test nor a reason, or when a test that is named here does not exist.*

{count} faults: {tested} are shown by {tests} tests, {reasons} cannot happen for the reason that is given.
`make chaos` attacks for longer; [reliability](../explanation/reliability.md) has figures.
"""


def page() -> str:
    """The page, whole."""
    tests = {place for fault in FAULTS for place in fault.tests()}
    reasons = sum(isinstance(fault.shown, str) for fault in FAULTS)
    text = _HEAD.format(count=len(FAULTS), tested=len(FAULTS) - reasons, tests=len(tests), reasons=reasons)
    for letter, title in GROUPS.items():
        text += f"\n## {letter}. {title}\n\n| | fault | what happens | shown by |\n|---|---|---|---|\n"
        for fault in FAULTS:
            if fault.id.startswith(letter):
                text += f"| {fault.id} | {fault.fault} | {fault.then} | {_shown(fault)} |\n"
    return text


def _shown(fault: Fault) -> str:
    if isinstance(fault.shown, str):
        return fault.shown
    return "<br>".join(
        f"[{name.removeprefix('test_').removeprefix('check_').replace('_', ' ')}](../../{file})"
        for file, name in fault.tests()
    )


if __name__ == "__main__":
    PAGE.write_text(page())
    print(f"{PAGE.relative_to(ROOT)}: {len(FAULTS)} faults")
