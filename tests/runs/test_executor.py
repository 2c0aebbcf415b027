import os
import signal
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from imprint.errors import ConfigError, ImprintError, ModelError
from imprint.runs import Executor, LocalExecutor, Reporter, Store, compute, read_json, silent

STEPS = """
    import os, signal, time
    from pathlib import Path
    from imprint.errors import ImprintError, ModelError
    from imprint.runs import Step, read_json, write_json

    class OwnError(ModelError):
        exit_code = 7
        def __init__(self, layer, *, model):
            super().__init__(f"no layer {layer} in {model}: ask for another")

    class Shared(Step):
        def execute(self, folder, context):
            with open(os.environ["LOG"], "a") as stream:
                stream.write("shared\\n")
            time.sleep(0.1)
            write_json(folder / "n.json", 100)

    class Square(Step):
        number: int
        shared: Shared = Shared()
        def execute(self, folder, context):
            base = read_json(context.get(self.shared) / "n.json")
            time.sleep(0.05 * (3 - self.number % 3))
            context.advance(1)
            threads = [os.environ.get(name) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")]
            write_json(folder / "n.json", [base + self.number**2, os.getpid(), threads])
            context.advance(1)

    class Fails(Step):
        how: str
        def execute(self, folder, context):
            if self.how == "own":
                raise OwnError(5, model="gpt2")
            if self.how == "plain":
                raise ModelError("no such model: give another")
            if self.how == "value":
                raise ValueError("a bug", 3)
            if self.how == "local":
                class LocalError(ModelError):
                    pass
                raise LocalError("local")
            if self.how == "unpicklable":
                class StrangeError(Exception):
                    pass
                raise StrangeError("strange")
            os.kill(os.getpid(), signal.SIGKILL)

    class Sleeps(Step):
        number: int
        def execute(self, folder, context):
            Path(os.environ["PIDS"], str(os.getpid())).touch()
            time.sleep(60)
"""

SCRIPT = """
    import sys
    from pathlib import Path
    from imprint.runs import LocalExecutor, Store
    from pool_steps import Sleeps

    if __name__ == "__main__":
        steps = [Sleeps(number=number) for number in range(3)]
        LocalExecutor(workers=2).run(steps, Store(Path(sys.argv[1])), stage="sleep", units=3)
"""


class Bar:
    def __init__(self) -> None:
        self.stages: list[tuple[str, int | None]] = []
        self.steps: list[int] = []
        self.open = 0

    @contextmanager
    def stage(self, name: str, total: int | None) -> Iterator:
        self.stages.append((name, total))
        self.open += 1
        try:
            yield self.steps.append
        finally:
            self.open -= 1

    def message(self, text: str) -> None:
        return None


@pytest.fixture
def steps(user, tmp_path, monkeypatch):
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    user.write("pool_steps", STEPS)
    user.write("pool_script", SCRIPT)
    return user.load("pool_steps")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "runs")


def run(workers, steps, store, progress=silent):
    return LocalExecutor(workers=workers).run(steps, store, progress=progress, stage="squares", units=2 * len(steps))


def values(paths):
    return [read_json(path / "n.json")[0] for path in paths]


def test_the_local_executor_and_its_reporters_keep_the_protocol():
    executor: Executor = LocalExecutor(workers=1)
    assert isinstance(executor, Executor)
    assert isinstance(silent, Reporter)
    with silent.stage("x", None) as advance:
        advance(1)
    silent.message("x")
    with pytest.raises(ConfigError, match="0 workers"):
        LocalExecutor(workers=0)


def test_two_workers_give_results_in_order_and_share_what_they_build_on(steps, store, tmp_path):
    bar = Bar()
    squares = [steps.Square(number=number) for number in (3, 1, 2, 1)]
    first = run(2, squares, store, bar)
    assert values(first) == [109, 101, 104, 101]
    details = [read_json(path / "n.json") for path in first]
    processes = {process for _, process, _ in details}
    assert len(processes) == 2
    assert os.getpid() not in processes
    assert all(threads == ["1", "1"] for _, _, threads in details)
    assert (os.environ["OMP_NUM_THREADS"], "MKL_NUM_THREADS" in os.environ) == ("3", False)
    assert (tmp_path / "log").read_text() == "shared\n"
    assert (bar.stages, bar.open) == ([("squares", 8)], 0)
    assert sum(bar.steps) == 8
    assert store.verify() == []
    # What is stored is not computed again, and no process is started for it.
    start = time.perf_counter()
    assert run(2, squares, store) == first
    assert time.perf_counter() - start < 0.3
    # The same steps in this process give the same values under the same keys.
    alone = run(1, squares, Store(tmp_path / "alone"), bar)
    assert values(alone) == values(first)
    assert [path.name for path in alone] == [path.name for path in first]
    assert read_json(alone[0] / "n.json")[1] == os.getpid()


def test_nothing_to_do_is_nothing_done(store):
    assert run(2, [], store) == []
    assert not store.root.exists()


def test_progress_counts_stored_steps_and_reaches_the_total(steps, store):
    squares = [steps.Square(number=number) for number in range(3)]
    store.get(squares[0])
    bar = Bar()
    run(1, squares, store, bar)
    assert sum(bar.steps) == 6
    assert bar.steps[0] == 2


@pytest.mark.parametrize("how", ["own", "plain", "value", "local", "unpicklable", "killed"])
def test_a_failure_keeps_its_type_and_message_and_ends_the_run(steps, store, how):
    expected = {
        "own": (steps.OwnError, "no layer 5 in gpt2: ask for another", 7),
        "plain": (ModelError, "no such model: give another", 2),
        "value": (ValueError, "('a bug', 3)", None),
        "local": (ModelError, "local", 2),
        "unpicklable": (RuntimeError, "StrangeError: strange", None),
        "killed": (ImprintError, "was killed by signal 9 (out of memory?)", 1),
    }[how]
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the type is what is compared
        run(2, [steps.Fails(how=how)], store)
    assert type(caught.value) is expected[0]
    assert expected[1] in str(caught.value)
    assert getattr(caught.value, "exit_code", None) == expected[2]
    if how != "killed":
        assert str(caught.value) == expected[1]
        assert "in execute" in caught.value.__notes__[-1]  # the worker's traceback
    assert store.unfinished() == [steps.Fails(how=how).key]


def test_the_other_steps_of_a_failed_run_are_kept_and_none_goes_on(steps, store, tmp_path, monkeypatch):
    monkeypatch.setenv("PIDS", str(tmp_path / "pids"))
    (tmp_path / "pids").mkdir()
    store.get(steps.Square(number=1))
    start = time.perf_counter()
    with pytest.raises(ModelError):
        run(2, [steps.Square(number=1), steps.Sleeps(number=1), steps.Fails(how="plain")], store)
    assert time.perf_counter() - start < 20
    assert store.has(steps.Square(number=1))
    assert [name for name in os.listdir(tmp_path / "pids") if is_alive(int(name))] == []


def test_code_edited_after_the_start_is_not_run_under_the_old_key(steps, user, store):
    user.write("pool_steps", STEPS.replace("self.number**2", "self.number**3"))
    with pytest.raises(ImprintError, match=r"the code or an input of step pool_steps\.Square changed"):
        run(2, [steps.Square(number=2)], store)
    assert store.list() == []


def test_a_step_of_the_main_script_is_told_to_move(user, tmp_path):
    user.write(
        "script_b",
        """
        import sys
        from pathlib import Path
        from imprint.errors import ConfigError
        from imprint.runs import LocalExecutor, Step, Store

        class Mine(Step):
            def execute(self, folder, context):
                pass

        if __name__ == "__main__":
            try:
                LocalExecutor(2).run([Mine()], Store(Path(sys.argv[1])), stage="x", units=1)
            except ConfigError as error:
                print(error)
        """,
    )
    output = user.run("script_b.py", tmp_path / "runs")
    assert output.startswith("step Mine is defined in the script that is run (__main__)")
    assert "such as steps.py" in output


def test_a_script_without_the_main_guard_is_told_to_have_one(user, steps, tmp_path):
    user.write("script_c", SCRIPT.replace('if __name__ == "__main__":', "if True:"))
    process = user.start("script_c.py", tmp_path / "runs", PIDS=str(tmp_path))
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert 'put what it runs under if __name__ == "__main__":' in errors


@pytest.mark.parametrize(
    ("number", "to_group"), [(signal.SIGINT, True), (signal.SIGINT, False), (signal.SIGKILL, False)]
)
def test_no_worker_outlives_its_parent(user, steps, tmp_path, number, to_group):
    pids = tmp_path / "pids"
    pids.mkdir()
    process = user.start("pool_script.py", tmp_path / "runs", PIDS=str(pids))
    wait_until(lambda: len(list(pids.iterdir())) == 2)
    workers = [int(path.name) for path in pids.iterdir()]
    assert all(is_alive(worker) for worker in workers)
    os.killpg(process.pid, number) if to_group else process.send_signal(number)
    _, errors = process.communicate(timeout=20)  # ends only when no process holds the other end
    assert process.returncode == -number
    wait_until(lambda: not any(is_alive(worker) for worker in workers))
    if number == signal.SIGINT:
        assert errors.count("KeyboardInterrupt") == 1  # the workers are silent
    assert len(list((tmp_path / "runs").glob("*.part"))) == 2


SLOW_START = """
    import os, time
    from pathlib import Path

    if __name__ == "__mp_main__":
        Path(os.environ["PIDS"], str(os.getpid())).touch()
        time.sleep(0.3)
"""


def test_an_interrupt_is_the_parents_affair_even_while_workers_start(user, steps, tmp_path):
    """Ctrl-C reaches every process of the terminal; here it reaches the workers only, and they go on."""
    script = textwrap.dedent(SLOW_START) + textwrap.dedent(SCRIPT).replace("Sleeps", "Square")
    user.write("script_d", script)
    pids = tmp_path / "pids"
    pids.mkdir()
    process = user.start("script_d.py", tmp_path / "runs", PIDS=str(pids))
    wait_until(lambda: len(list(pids.iterdir())) == 2)
    for path in pids.iterdir():
        os.kill(int(path.name), signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")


def test_the_worker_function_takes_a_step_and_a_root_and_gives_a_path(steps, store):
    path = compute(steps.Square(number=2), store.root)
    assert path == store.path(steps.Square(number=2))
    assert read_json(path / "n.json")[0] == 104


def is_alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until(condition, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.01)
