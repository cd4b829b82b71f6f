"""A recording plays back what was recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from otel_llm.gpu import __main__ as command
from otel_llm.gpu.fake_driver import FakeDriver, FakeGpu, FakeProcess, installed
from otel_llm.gpu.nvml import Nvml
from otel_llm.gpu.record import Recorder, Replay

pytest.importorskip("pynvml", reason="nvidia-ml-py is not installed; pip install 'otel-llm[gpu]' gives it")


def test_replay_gives_the_readings_that_were_recorded(tmp_path: Path) -> None:
    """Devices, MIG instances, refusals and changing values come back the same without any driver."""
    now = [0.0]
    parts = [FakeGpu(uuid="MIG-1", slices=2)]
    gpus = [
        FakeGpu(uuid="GPU-a", processes=[FakeProcess(5, 100, 30)]),
        FakeGpu(uuid="GPU-b", mig=parts, nvlink_kib=None),
    ]
    with installed(FakeDriver(gpus, clock=lambda: now[0])):
        recorder = Recorder(clock=lambda: now[0])
        nvml = Nvml(recorder)
        recorded = []
        for step in range(3):
            now[0] += 0.1
            gpus[0].watts = 100.0 * step
            recorded += [nvml.read(), nvml.read_work()]
        nvml.close()
    recorder.save(tmp_path / "recording.json")
    played = Nvml(Replay(tmp_path / "recording.json"))
    assert [read() for _ in range(3) for read in (played.read, played.read_work)] == recorded


def test_a_call_that_was_not_recorded_is_refused(tmp_path: Path) -> None:
    """Replay invents nothing; another file is refused with a sentence."""
    with installed(FakeDriver([FakeGpu()])):
        recorder = Recorder()
        Nvml(recorder).close()
    recorder.save(tmp_path / "recording.json")
    with pytest.raises(AttributeError):
        Nvml(Replay(tmp_path / "recording.json")).read()
    (tmp_path / "other.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match=r"is no recording of NVML \(format: None\)"):
        Replay(tmp_path / "other.json")


def test_the_command_records_and_says_what_a_reading_costs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`record` writes a file that plays back; `show` prints the devices; without a driver both say so with code 2."""
    with installed(FakeDriver([FakeGpu(uuid="GPU-a")])):
        assert command.main(["record", str(tmp_path / "a.json"), "--seconds", "0.05", "--interval", "0.01"]) == 0
        assert "readings of 1 devices" in capsys.readouterr().out
        assert command.main(["show"]) == 0
        assert "GPU-a" in capsys.readouterr().out
    assert Nvml(Replay(tmp_path / "a.json")).read()[0].device.id == "GPU-a"


def test_without_a_driver_the_command_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence on stderr and exit code 2."""
    monkeypatch.setitem(__import__("sys").modules, "pynvml", None)
    assert command.main(["show"]) == 2
    assert "no GPU can be read: the package nvidia-ml-py is not installed" in capsys.readouterr().err
