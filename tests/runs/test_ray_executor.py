"""A real Ray cluster of two workers on this machine, started once for all tests below."""

import importlib
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from imprint.errors import ConfigError, ImprintError, ModelError
from imprint.runs import Executor, LocalExecutor, RayExecutor, Store, read_json, silent

STEPS = """
    import os, signal, time
    from pathlib import Path
    from imprint.errors import ModelError
    from imprint.runs import Step, read_json, write_json

    class OwnError(ModelError):
        exit_code = 7
        def __init__(self, layer, *, model):
            super().__init__(f"no layer {layer} in {model}: ask for another")

    def note(text):
        with open(Path(os.environ["RAY_TEST_NOTES"], "log"), "a") as stream:
            stream.write(text + "\\n")

    class Base(Step):
        tag: str = ""
        def execute(self, folder, context):
            note(f"base {self.tag}")
            write_json(folder / "n.json", 100)

    class Power(Step):
        number: int
        base: Base = Base()
        def execute(self, folder, context):
            import torch
            base = read_json(context.get(self.base) / "n.json")
            context.advance(1)
            states = torch.randn(200, 200, generator=torch.Generator().manual_seed(self.number))
            torch.save((states @ states @ states).double().softmax(0), folder / "states.pt")
            write_json(folder / "n.json", base + self.number**2)
            context.advance(1)

    class Surroundings(Step):
        def execute(self, folder, context):
            names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
            write_json(folder / "n.json", [os.getpid(), [os.environ.get(name) for name in names], os.getppid()])

    class Dies(Step):
        '''Kills its worker after its first half, as often as it is told to.'''
        number: int
        deaths: int
        def execute(self, folder, context):
            if not (folder / "half.json").exists():
                note(f"half {self.number}")
                write_json(folder / "half.json", self.number)
                context.advance(1)
            flags = Path(os.environ["RAY_TEST_NOTES"])
            died = len(list(flags.glob(f"death-{self.deaths}-{self.number}-*")))
            if died < self.deaths:
                (flags / f"death-{self.deaths}-{self.number}-{died}").touch()
                os.kill(os.getpid(), signal.SIGKILL)
            write_json(folder / "n.json", read_json(folder / "half.json") * 2)
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
            class StrangeError(Exception):
                pass
            raise StrangeError("strange")

    class Waits(Step):
        '''Goes on once somebody has seen its first unit.'''
        def execute(self, folder, context):
            context.advance(1)
            flag = Path(os.environ["RAY_TEST_NOTES"], "seen")
            while not flag.exists():
                time.sleep(0.05)
            write_json(folder / "n.json", 1)
            context.advance(1)

    class Sleeps(Step):
        number: int
        def execute(self, folder, context):
            Path(os.environ["RAY_TEST_NOTES"], f"pid-{os.getpid()}").touch()
            time.sleep(60)
"""

SCRIPT = """
    import sys
    from pathlib import Path
    from imprint.runs import RayExecutor, Store
    from ray_steps import Sleeps

    if __name__ == "__main__":
        steps = [Sleeps(number=number) for number in range(3)]
        RayExecutor(workers=2).run(steps, Store(Path(sys.argv[1])), stage="sleep", units=3)
"""


class Bar:
    def __init__(self):
        self.units, self.messages = [], []

    @contextmanager
    def stage(self, name, total):
        yield self.units.append

    def message(self, text):
        self.messages.append(text)


@pytest.fixture(scope="module")
def user(tmp_path_factory):
    """A folder of a user's own modules, which workers find because this process finds it when the cluster starts."""
    folder, notes = tmp_path_factory.mktemp("user"), tmp_path_factory.mktemp("notes")
    (folder / "ray_steps.py").write_text(textwrap.dedent(STEPS))
    (folder / "ray_script.py").write_text(textwrap.dedent(SCRIPT))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "dont_write_bytecode", True)
        patch.setenv("PYTHONPATH", str(folder))
        patch.setenv("RAY_TEST_NOTES", str(notes))
        patch.syspath_prepend(str(folder))
        yield folder
        sys.modules.pop("ray_steps", None)


@pytest.fixture(scope="module")
def steps(user):
    return importlib.import_module("ray_steps")


@pytest.fixture(scope="module")
def cluster(steps):
    executor, before = RayExecutor(workers=2), dict(os.environ)
    with executor.connection() as ray:
        yield executor
        assert ray.is_initialized()
    assert not ray.is_initialized()
    assert {name for name in os.environ if name.startswith("RAY_")} == {
        name for name in before if name.startswith("RAY_")
    }


@pytest.fixture
def notes(user):
    folder = Path(os.environ["RAY_TEST_NOTES"])
    (folder / "log").write_text("")
    for path in folder.glob("pid-*"):
        path.unlink()
    return folder


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "runs")


def run(executor, steps, store, progress=silent):
    return executor.run(steps, store, progress=progress, stage="powers", units=2 * len(steps))


def contents(store):
    """All files of all results but their manifests, which hold times."""
    paths = [path for path in sorted(store.root.rglob("*")) if path.is_file() and path.name != "manifest.json"]
    return {path.relative_to(store.root).as_posix(): path.read_bytes() for path in paths}


def test_two_workers_give_the_bytes_of_the_local_pool(cluster, steps, store, tmp_path, notes):
    assert isinstance(cluster, Executor)
    bar = Bar()
    powers = [steps.Power(number=number) for number in (3, 1, 2, 1)]
    found = run(cluster, powers, store, bar)
    assert [read_json(path / "n.json") for path in found] == [109, 101, 104, 101]
    assert found == [store.path(step) for step in powers]
    assert (notes / "log").read_text() == "base \n"
    assert sum(bar.units) == 8
    assert bar.messages == []
    assert store.verify() == []
    for workers in (1, 2):
        local = Store(tmp_path / f"local{workers}")
        run(LocalExecutor(workers=workers), powers, local)
        assert contents(local) == contents(store)
    assert len(contents(store)) == 7
    changed = Store(tmp_path / "changed")
    run(LocalExecutor(workers=1), [steps.Power(number=4)], changed)
    assert contents(changed) != contents(store)


def test_workers_are_other_processes_of_one_thread(cluster, steps, store):
    process, threads, _ = read_json(run(cluster, [steps.Surroundings()], store)[0] / "n.json")
    assert process != os.getpid()
    assert threads == ["1"] * 4


def test_stored_results_need_no_cluster(cluster, steps, store, monkeypatch):
    assert run(cluster, [], store) == []
    powers = [steps.Power(number=1)]
    LocalExecutor(workers=1).run(powers, store, stage="x", units=2)
    bar = Bar()
    monkeypatch.setattr("imprint.runs.ray_executor.connected", None)
    assert run(cluster, powers, store, bar) == [store.path(powers[0])]
    assert sum(bar.units) == 2


def test_a_killed_worker_costs_its_own_step_only(cluster, steps, store, notes, capfd):
    bar = Bar()
    asked = [
        steps.Power(number=5),
        steps.Dies(number=6, deaths=1),
        steps.Power(number=7),
        steps.Dies(number=8, deaths=0),
    ]
    found = run(cluster, asked, store, bar)
    assert [read_json(path / "n.json") for path in found] == [125, 12, 149, 16]
    assert len(list(notes.glob("death-1-6-*"))) == 1
    # The second attempt went on from the half that the first had left; nobody else began anew.
    assert sorted((notes / "log").read_text().split("\n")) == ["", "base ", "half 6", "half 8"]
    resumed = {entry.step: entry.manifest.resumed for entry in store.list() if entry.folder == found[1]}
    assert resumed == {"ray_steps.Dies": True}
    assert not any(entry.manifest.resumed for entry in store.list() if entry.folder != found[1])
    assert (store.unfinished(), list(store.root.glob("*.lock"))) == ([], [])
    assert bar.messages == [
        f"a worker died while it computed ray_steps.Dies ({asked[1].key[:12]}): another one goes on with it"
    ]
    assert capfd.readouterr() == ("", "")


def test_progress_is_told_while_a_step_runs(cluster, steps, store, notes):
    bar = Bar()

    @contextmanager
    def stage(name, total):
        def advance(units):
            bar.units.append(units)
            if sum(bar.units) == 1:
                (notes / "seen").touch()

        yield advance

    bar.stage = stage
    run(cluster, [steps.Waits()], store, bar)
    assert [units for units in bar.units if units] == [1, 1]


def test_a_step_that_kills_every_worker_ends_the_run(cluster, steps, store, notes):
    bar = Bar()
    with pytest.raises(ImprintError, match=r"computed ray_steps\.Dies .* 4 times \(out of memory\?\)"):
        run(cluster, [steps.Dies(number=9, deaths=99)], store, bar)
    assert len(list(notes.glob("death-99-9-*"))) == 4
    assert len(bar.messages) == 3


@pytest.mark.parametrize("how", ["own", "plain", "value", "unpicklable"])
def test_a_failure_keeps_its_type_and_message(cluster, steps, store, how):
    expected = {
        "own": (steps.OwnError, "no layer 5 in gpt2: ask for another"),
        "plain": (ModelError, "no such model: give another"),
        "value": (ValueError, "('a bug', 3)"),
        "unpicklable": (RuntimeError, "StrangeError: strange"),
    }[how]
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the type is what is compared
        run(cluster, [steps.Fails(how=how)], store)
    assert (type(caught.value), str(caught.value)) == expected
    assert "in execute" in caught.value.__notes__[-1]  # the worker's traceback
    assert store.unfinished() == [steps.Fails(how=how).key]


def test_the_other_steps_of_a_failed_run_are_kept_and_none_goes_on(cluster, steps, store, notes):
    store.get(steps.Power(number=1))
    with pytest.raises(ModelError):
        run(cluster, [steps.Power(number=1), steps.Sleeps(number=1), steps.Fails(how="plain")], store)
    assert store.has(steps.Power(number=1))
    wait_until(lambda: not any(is_alive(process) for process in asleep(notes)))
    assert list(store.root.glob("*.beacon")) == []


def test_a_machine_that_does_not_see_the_store_says_so(cluster, steps, store, monkeypatch, tmp_path):
    @contextmanager
    def elsewhere(store):
        yield store.root / "ray-none.beacon"

    monkeypatch.setattr("imprint.runs.ray_executor._beacon", elsewhere)
    with pytest.raises(ConfigError, match=r"does not see .*runs: choose an output folder on a file system that all"):
        run(cluster, [steps.Power(number=1)], store)
    assert not store.root.exists()


def test_a_machine_that_cannot_run_imprint_says_so(cluster, steps, store, monkeypatch):
    def serve(*_):
        raise ModuleNotFoundError("No module named 'imprint'")

    monkeypatch.setattr("imprint.runs.ray_executor._serve", serve)
    with pytest.raises(
        ImprintError, match=r"could not begin ray_steps\.Power \(.*No module named 'imprint'\): install"
    ):
        run(cluster, [steps.Power(number=1)], store)


def test_a_result_that_never_appears_says_so(cluster, steps, store, monkeypatch):
    monkeypatch.setattr("imprint.runs.ray_executor._VISIBLE_SECONDS", 0.1)
    monkeypatch.setattr(Store, "has", lambda self, step: False)
    with pytest.raises(ImprintError, match=r"ray_steps\.Power .* does not appear in .*runs: is it on a file system"):
        run(cluster, [steps.Power(number=1)], store)


def test_code_edited_after_the_start_is_not_run_under_the_old_key(cluster, steps, user, store):
    (user / "ray_edited.py").write_text(textwrap.dedent(STEPS))
    edited = importlib.import_module("ray_edited")
    step = edited.Power(number=1)
    (user / "ray_edited.py").write_text(textwrap.dedent(STEPS).replace("self.number**2", "self.number**3"))
    with pytest.raises(ImprintError, match=r"the code or an input of step ray_edited\.Power changed"):
        run(cluster, [step], store)
    assert store.list() == []


def test_another_process_joins_the_cluster_by_its_address(cluster, steps, store):
    import ray

    address = ray.get_runtime_context().gcs_address
    program = f"""
        from pathlib import Path
        from imprint.runs import RayExecutor, Store
        from ray_steps import Surroundings
        store = Store(Path({str(store.root)!r}))
        print(RayExecutor(address={address!r}).run([Surroundings()], store, stage="x", units=1)[0])
    """
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(program)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.strip() == str(store.path(steps.Surroundings()))
    raylet = read_json(store.path(steps.Surroundings()) / "n.json")[2]
    assert is_alive(raylet)  # the cluster that was joined outlives the process that joined it


@pytest.fixture
def alone(monkeypatch):
    """As if this process had no connection."""
    import ray

    monkeypatch.setattr(ray, "is_initialized", lambda: False)


@pytest.mark.parametrize("address", ["ray://host:10001", "host", "host:", ":6379", "host:99999", "host:port"])
def test_an_address_that_is_none(alone, address):
    with pytest.raises(ConfigError, match=f"'{address}' is no address of a Ray cluster: give HOST:PORT"):
        RayExecutor(address=address).connection().__enter__()


def test_an_address_where_no_cluster_is(alone, steps, store):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(ConfigError, match=rf"no Ray cluster at 127\.0\.0\.1:{port} \(Connection refused\): start one"):
        run(RayExecutor(address=f"127.0.0.1:{port}"), [steps.Power(number=1)], store)
    assert not store.root.exists()


def test_an_address_where_something_else_or_nothing_answers(alone, monkeypatch):
    monkeypatch.setattr("imprint.runs.ray_cluster._PATIENCE_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(ConfigError, match=rf"no Ray cluster at {address} \(timed out\)"):
            RayExecutor(address=address).connection().__enter__()
        with socket.socket() as caller:
            server.settimeout(5)
            caller.connect(server.getsockname())
            server.accept()[0].close()


def test_no_ray_is_one_sentence(monkeypatch, store, steps):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(
        ConfigError, match=r"^the executor ray needs Ray, which is not installed: pip install 'imprint\[ray\]'$"
    ):
        run(RayExecutor(workers=1), [steps.Power(number=1)], store)


def test_no_worker_is_no_executor():
    with pytest.raises(ConfigError, match="0 workers were asked for"):
        RayExecutor(workers=0)


def test_ctrl_c_leaves_no_process(user, steps, tmp_path, notes):
    """A cluster of its own, all of whose processes hear the Ctrl-C of the terminal."""
    command = [sys.executable, "-B", str(user / "ray_script.py"), str(tmp_path / "runs")]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, start_new_session=True, text=True, **pipes)
    wait_until(lambda: len(asleep(notes)) == 2)
    family = descendants(process.pid)
    assert set(asleep(notes)) < set(family)
    folders = {path for path in Path("/tmp").glob("imprint-ray-*") if any(path.name in words_of(one) for one in family)}
    assert len(folders) == 1
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=30)  # ends only when no process holds the other end
    assert (process.returncode, output, errors.count("KeyboardInterrupt")) == (-signal.SIGINT, "", 1)
    assert [member for member in family if is_alive(member)] == []
    assert not any(folder.exists() for folder in folders)
    assert len(list((tmp_path / "runs").glob("*.part"))) == 2


def asleep(notes):
    return [int(path.name.removeprefix("pid-")) for path in notes.glob("pid-*")]


def stat_of(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ["Z", "0"]


def is_alive(process):
    return stat_of(process)[0] != "Z"


def everybody():
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]


def words_of(process):
    try:
        return Path(f"/proc/{process}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def descendants(root):
    parents = {process: int(stat_of(process)[1]) for process in everybody()}
    found = [root]
    for parent in found:
        found += [process for process, its in parents.items() if its == parent]
    return found


def wait_until(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)
