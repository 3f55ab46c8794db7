import os
import signal
import threading

import pytest

from chiasm.training.interrupt import SIGNALS, stop_on_signal


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_is_a_request_and_says_so(number: int, capsys) -> None:
    before = signal.getsignal(number)
    with stop_on_signal() as stop:
        assert not stop.requested
        os.kill(os.getpid(), number)
        assert stop.requested
        assert signal.getsignal(number) == before
    assert capsys.readouterr() == ("", "stopping: saving\n")


def test_a_second_one_acts_as_usual() -> None:
    with stop_on_signal() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert stop.requested


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no SIGHUP here")
def test_under_nohup_a_closed_terminal_stops_nothing() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_on_signal() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop.requested
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_terminal_that_is_gone_keeps_nobody_from_saving(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone:
        def write(self, text: str) -> None:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr("sys.stderr", Gone())
    with stop_on_signal() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.requested


def test_in_another_thread_no_signal_is_awaited() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]

    def work() -> None:
        with stop_on_signal() as stop:
            assert not stop.requested
            assert [signal.getsignal(number) for number in SIGNALS] == before

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
