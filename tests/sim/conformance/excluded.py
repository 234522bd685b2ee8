"""CPython's tests that cannot run on a simulated loop: a pattern, and why."""

import sys

EXCLUDED: dict[str, str] = {
    "test_buffered_proto.*Proactor*": "another loop class, on Windows",
    "test_tasks.*.test_log_destroyed_pending_task": "calls BaseEventLoop._run_once itself",
    "test_tasks.*.test_stop_while_run_in_complete": "the time that the test's own TestLoop shows after stop()",
    "test_tasks.*.test_issue46672": "mocks BaseEventLoop.call_exception_handler, which ours overrides",
    "test_runners.RunnerTests.test_interrupt_*": "a signal of the process",
    "test_streams.*.test_start_server": "a blocking client in a thread",
    "test_streams.*.test_start_tls": "a blocking client in a thread",
    "test_streams.*.test_start_unix_server": "a blocking client in a thread",
    "test_streams.*.test_drain_raises": "a blocking server in a thread",
    "test_streams.*.test_read_all_from_pipe_reader": "a pipe's file descriptor",
    "test_events.*.test_signal_handling_*": "a signal of the process",
    "test_events.*.test_add_signal_handler": "a signal of the process",
    "test_events.*.test_internal_fds": "the loop's own file descriptors",
    "test_events.*.test_reader_callback*": "add_reader on a real socket pair",
    "test_events.*.test_writer_callback*": "add_writer on a real socket pair",
    "test_events.*.test_*_fds_after_closing": "add_reader on a file descriptor",
    "test_events.*.test_*pipe*": "a pipe's file descriptor",
    "test_events.*.test_*pty*": "a terminal's file descriptor",
    "test_events.*.test_connect_accepted_socket": "a blocking client in a thread",
    "test_events.*.test_ssl_connect_accepted_socket": "a blocking client in a thread",
    "test_events.*.test_connect_accepted_socket_ssl_timeout_*": "a blocking client in a thread",
    "test_events.*.test_create_server": "a blocking client",
    "test_events.*.test_create_server_dual_stack": "a blocking client",
    "test_events.*.test_create_server_reuse_port": "two listeners on one port are not simulated",
    "test_events.*.test_create_server_sock": "a blocking client",
    "test_events.*.test_server_close": "a blocking client",
    "test_events.*.test_create_unix_server": "a blocking client",
    "test_events.*.test_create_server_multiple_hosts_*": "mocks the addresses of a machine",
    "test_events.*.test_prompt_cancellation": "a socket pair made outside of the loop",
    "test_events.*.test_get_event_loop_new_process": "a subprocess",
    "test_sock_lowlevel.*.test_huge_content*": "a page of a web server in a thread",
    "test_sock_lowlevel.*.test_recvfrom*": "a UDP server in a thread",
    "test_sock_lowlevel.*.test_sendto_blocking": "a UDP server in a thread",
    "test_sock_lowlevel.*.test_sock_accept": "a blocking client",
    "test_sock_lowlevel.*.test_sock_client_connect_racing": "needs a second connect() to be answered by EISCONN alone",
}

if sys.version_info >= (3, 12):
    EXCLUDED |= {
        "test_streams.*.test_unclosed_server_resource_warnings": "a blocking client",
    }
