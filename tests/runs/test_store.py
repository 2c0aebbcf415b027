import errno
import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from imprint.errors import ConfigError, ImprintError, ModelError, OutputError
from imprint.runs import Context, Step, Store, read_json, write_json

CALLS: list[str] = []


@pytest.fixture(autouse=True)
def calls():
    CALLS.clear()
    return CALLS


class Number(Step):
    value: int = 1

    def execute(self, folder: Path, context: Context) -> None:
        CALLS.append(f"number {self.value}")
        write_json(folder / "number.json", self.value)


class Sum(Step):
    parts: tuple[Step, ...]

    def execute(self, folder: Path, context: Context) -> None:
        CALLS.append("sum")
        numbers = [read_json(context.get(part) / "number.json") for part in self.parts]
        write_json(folder / "number.json", sum(numbers))


class Does(Step):
    """Does what the test says, by name, in `ACTIONS`."""

    action: str
    corpus: Path | None = None

    def execute(self, folder: Path, context: Context) -> None:
        CALLS.append(self.action)
        ACTIONS[self.action](folder, context)


def warn_then_fail_once(folder: Path, context: Context) -> None:
    if not (folder / "scratch").exists():
        context.warn(f"skipped one document in {folder}")
        raise ModelError("stopped half way")
    (folder / "done").touch()


def write_scratch(folder: Path, context: Context) -> None:
    (folder / "scratch").mkdir(exist_ok=True)
    (folder / "scratch" / "optimizer").write_bytes(b"x")
    (folder / "weights").write_bytes(b"y")
    (folder / ".weights.1-1.partial").write_bytes(b"half")


def sleep_elsewhere(folder: Path, context: Context) -> None:
    context.get(Does(action="sleep"))


ACTIONS = {
    "fail": lambda folder, context: (_ for _ in ()).throw(ModelError("no such model: give another")),
    "fill the disk": lambda folder, context: Path("/dev/full").write_bytes(b"x"),
    "manifest": lambda folder, context: (folder / "manifest.json").write_text("{}"),
    "link": lambda folder, context: (folder / "link").symlink_to("/etc/passwd"),
    "nothing": lambda folder, context: None,
    "warn then fail once": warn_then_fail_once,
    "scratch": write_scratch,
    "sleep": lambda folder, context: time.sleep(0.2),
    "sleep elsewhere": sleep_elsewhere,
}


class Recorder:
    def __init__(self) -> None:
        self.said: list[str] = []

    def stage(self, name, total):
        raise AssertionError("no stage expected")

    def message(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "deep" / "runs")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_result_is_computed_once_and_with_all_it_builds_on(store, calls):
    step = Sum(parts=(Number(value=1), Sum(parts=(Number(value=2), Number(value=3)))))
    assert not store.has(step)
    assert read_json(store.get(step) / "number.json") == 6
    assert calls == ["number 1", "number 2", "number 3", "sum", "sum"]
    assert store.has(step)
    assert store.get(step) == store.path(step) == store.root / step.key[:2] / step.key
    assert len(calls) == 5
    assert names(store.root) == sorted({entry.key[:2] for entry in store.list()})  # no lock, no part, no trash


def test_a_finished_result_does_not_need_what_it_was_built_on(store, calls):
    step = Sum(parts=(Number(),))
    store.get(step)
    shutil.rmtree(store.path(Number()))
    calls.clear()
    store.get(step)
    assert calls == []


def test_a_finished_result_is_served_without_hashing_and_quickly(store, monkeypatch):
    store.get(Number())
    monkeypatch.setattr("imprint.runs.manifest.file_digest", lambda path: pytest.fail("hashed"))
    start = time.perf_counter()
    for _ in range(20):
        store.get(Number())
    assert (time.perf_counter() - start) / 20 < 0.05


def test_the_manifest_says_what_was_made_of_what_and_names_no_place(store, tmp_path):
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("text")
    step = Does(action="nothing", corpus=corpus)
    store.get(step)
    store.get(Sum(parts=(Number(),)))
    for path in store.root.rglob("manifest.json"):
        assert str(tmp_path) not in path.read_text()
        assert str(Path.home()) + "/" not in path.read_text()
    manifest = read_json(store.path(Sum(parts=(Number(),))) / "manifest.json")
    assert manifest["upstream"] == [Number().key]
    assert manifest["recipe"] == json.loads(json.dumps(Sum(parts=(Number(),)).recipe()))
    assert set(manifest) == {
        "key", "step", "recipe", "upstream", "files", "seconds", "cpu_seconds", "resumed", "created", "versions",
        "warnings", "sha256",
    }  # fmt: skip
    assert store.entry(step.key[:10]).manifest.recipe["fields"]["corpus"]["input"] == "corpus.txt"


def test_time_spent_in_other_steps_is_not_counted_twice(store):
    store.get(Does(action="sleep elsewhere"))
    seconds = {entry.manifest.recipe["fields"]["action"]: entry.manifest.seconds for entry in store.list()}
    assert seconds["sleep"] >= 0.2
    assert seconds["sleep elsewhere"] < 0.15


def test_scratch_and_leftovers_are_not_part_of_the_result(store):
    assert names(store.get(Does(action="scratch"))) == ["manifest.json", "weights"]


def test_a_failure_passes_through_and_the_next_attempt_keeps_warnings(store, calls):
    step = Does(action="warn then fail once")
    reporter = Recorder()
    with pytest.raises(ModelError, match="stopped half way") as error:
        store.get(step, progress=reporter)
    assert str(error.value) == "stopped half way"
    assert "test_store.Does" in error.value.__notes__[0]
    assert store.unfinished() == [step.key]
    assert not store.has(step)
    store.get(step)
    manifest = store.entry(step.key).manifest
    assert manifest.resumed
    assert manifest.warnings == (f"skipped one document in <store>/{step.key}.part",)
    assert len(reporter.said) == 1
    assert store.unfinished() == []


@pytest.mark.parametrize("action", ["manifest", "link"])
def test_steps_that_write_what_they_must_not_are_told(store, action):
    with pytest.raises(ImprintError, match=r"a name that the store needs|a link"):
        store.get(Does(action=action))
    assert not store.has(Does(action=action))


def test_an_input_that_changes_during_the_step_makes_no_result(store, tmp_path, monkeypatch):
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("before")
    monkeypatch.setitem(ACTIONS, "edit", lambda folder, context: corpus.write_text("after"))
    with pytest.raises(ImprintError, match=r"an input of step .* changed while it ran"):
        store.get(Does(action="edit", corpus=corpus))
    assert store.list() == []
    assert store.unfinished() == []


def test_a_full_disk_is_one_sentence_and_the_work_is_kept(store):
    with pytest.raises(OutputError, match="the disk is full: free some space") as error:
        store.get(Does(action="fill the disk"))
    assert str(store.root) in str(error.value)
    assert store.unfinished() == [Does(action="fill the disk").key]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
@pytest.mark.parametrize("call", ["os.open", "os.fsync", "pathlib.Path.mkdir", "pathlib.Path.rename"])
def test_a_failure_of_any_write_is_one_sentence_and_leaves_no_result(store, monkeypatch, code, call):
    def fail(path, *arguments, **options):
        raise OSError(code, os.strerror(code), str(store.root))

    with monkeypatch.context() as patch:
        patch.setattr(call, fail)
        with pytest.raises(OutputError, match="cannot write to"):
            store.get(Number())
    assert store.list() == []
    assert read_json(store.get(Number()) / "number.json") == 1


@pytest.mark.parametrize(("damage", "computed"), [(False, 1), (True, 2)])
def test_an_attempt_that_only_missed_the_rename_is_not_run_again(store, calls, monkeypatch, damage, computed):
    def fail(self, target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", fail)
        with pytest.raises(OutputError):
            store.get(Number())
    if damage:
        (store.root / f"{Number().key}.part" / "number.json").write_text("7")
    assert read_json(store.get(Number()) / "number.json") == 1
    assert len(calls) == computed


def test_a_root_that_is_a_file_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="it is a file"):
        Store(tmp_path / "file").get(Number())
    with pytest.raises(OutputError, match="a file, not a folder"):
        Store(tmp_path / "file" / "runs").get(Number())


def test_a_root_that_refuses_writing_is_one_sentence_and_still_read(store, monkeypatch):
    store.get(Number())

    def refuse(*arguments, **options):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(store.root))

    for call in ("os.open", "pathlib.Path.mkdir", "pathlib.Path.rename", "pathlib.Path.unlink"):
        monkeypatch.setattr(call, refuse)
    assert read_json(store.get(Number()) / "number.json") == 1
    with pytest.raises(OutputError, match="read-only"):
        store.get(Number(value=2))


def test_a_missing_root_is_empty_and_is_made_when_needed(store):
    assert store.list() == store.verify(progress=CountingReporter()) == store.unfinished() == store.prune([]) == []
    assert not store.root.exists()
    store.get(Number())
    assert store.root.exists()


class CountingReporter:
    def __init__(self) -> None:
        self.units = 0

    def stage(self, name, total):
        from contextlib import nullcontext

        return nullcontext(self.advance)

    def advance(self, units: int) -> None:
        self.units += units

    def message(self, text: str) -> None:
        return None


def test_verify_finds_a_flipped_byte(store):
    folders = [store.get(Number(value=value)) for value in range(3)]
    reporter = CountingReporter()
    assert store.verify(progress=reporter) == []
    assert reporter.units == 3
    path = folders[1] / "number.json"
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)
    (problem,) = store.verify()
    assert (problem.key, problem.file) == (folders[1].name, "number.json")
    assert "bytes changed" in problem.what


@pytest.mark.parametrize("damage", ["manifest gone", "manifest garbled", "file gone", "file cut", "half deleted"])
def test_a_damaged_result_is_never_served_but_made_again(store, calls, damage):
    folder = store.get(Number())
    if damage == "manifest gone":
        (folder / "manifest.json").unlink()
    elif damage == "manifest garbled":
        (folder / "manifest.json").write_text('{"key": ')
    elif damage == "file gone":
        (folder / "number.json").unlink()
    elif damage == "file cut":
        (folder / "number.json").write_bytes(b"")
    else:
        shutil.rmtree(folder)
        folder.mkdir()
    assert not store.has(Number())
    assert [problem.key for problem in store.verify()] == [Number().key]
    assert read_json(store.get(Number()) / "number.json") == 1
    assert len(calls) == 2
    assert store.verify() == []
    assert "damaged" in store.entry(Number().key).manifest.warnings[0]


def test_entry_wants_one_match(store):
    store.get(Number(value=1))
    store.get(Number(value=2))
    assert store.entry(Number(value=1).key[:12]).step == "test_store.Number"
    assert store.entry(Number(value=1).key).bytes == 2
    with pytest.raises(ConfigError, match="2 results"):
        store.entry("")
    with pytest.raises(ConfigError, match=f"no result .* 'nope'; it holds: {store.list()[0].key[:12]}"):
        store.entry("nope")


def test_prune_keeps_what_is_named_and_what_it_was_made_from(store):
    step = Sum(parts=(Number(value=1), Number(value=2)))
    store.get(step)
    store.get(Number(value=3))
    with pytest.raises(ModelError):
        store.get(Does(action="fail"))
    trash = store.root / f"{Number(value=9).key}.trash1-1"
    trash.mkdir()
    removed = store.prune([step.key[:16]])
    assert set(removed) == {Number(value=3).key, Does(action="fail").key, Number(value=9).key}
    assert {entry.key for entry in store.list()} == {step.key, Number(value=1).key, Number(value=2).key}
    assert store.unfinished() == []
    assert not trash.exists()
    assert set(store.prune([])) == {step.key, Number(value=1).key, Number(value=2).key}
    assert all(not any(folder.iterdir()) for folder in store.root.iterdir())


def test_prune_of_a_step_keeps_what_an_unfinished_attempt_builds_on(store):
    step = Sum(parts=(Number(value=1), Does(action="fail")))
    with pytest.raises(ModelError):
        store.get(step)
    store.get(Number(value=2))
    assert store.prune([step]) == [Number(value=2).key]
    assert store.has(Number(value=1))
    with pytest.raises(ConfigError, match="no result"):
        store.prune(["0123"])


def test_a_context_by_itself_reads_the_store(store):
    context = Context(store)
    assert read_json(context.get(Number()) / "number.json") == 1
    context.warn("a doubt")
    context.warn("a doubt")
    context.advance(3)
    assert context.warnings == ("a doubt",)


# Crashes and company, with real processes.

STEPS = """
    import hashlib, os, time
    from pathlib import Path
    from imprint.runs import Step, atomic_file, read_json, write_json

    class Seeded(Step):
        seed: int
        def execute(self, folder, context):
            write_json(folder / "seed.json", self.seed)

    class Chain(Step):
        start: Seeded
        rounds: int = 12
        pause: float = 0.0
        def execute(self, folder, context):
            scratch = folder / "scratch"
            scratch.mkdir(exist_ok=True)
            (folder / "states").mkdir(exist_ok=True)
            at, state = 0, str(read_json(context.get(self.start) / "seed.json"))
            if (scratch / "checkpoint.json").exists():
                at, state = read_json(scratch / "checkpoint.json")
            for round in range(at, self.rounds):
                log(round)
                state = hashlib.sha256(state.encode()).hexdigest()
                if round % 3 == 2:
                    with atomic_file(folder / "states" / f"{round}.txt") as temporary:
                        temporary.write_text(state)
                    write_json(scratch / "checkpoint.json", [round + 1, state])
                time.sleep(self.pause)
            (folder / "last.txt").write_text(state)

    def log(round):
        if "LOG" in os.environ:
            with open(os.environ["LOG"], "a") as stream:
                stream.write(f"{os.getpid()} {round}\\n")
"""

GET = """
    import sys
    from pathlib import Path
    from chain_steps import Chain, Seeded
    from imprint.runs import Store

    step = Chain(start=Seeded(seed=int(sys.argv[2])), pause=float(sys.argv[3]))
    print(Store(Path(sys.argv[1])).get(step))
"""

# Every line that the store or the step runs is a moment; fork is quick, so many of them are tried. The data of a
# killed process stay in the kernel's cache, so nothing is lost by leaving fsync out here.
SWEEP = """
    import os, signal, sys
    from pathlib import Path
    import chain_steps
    from chain_steps import Chain, Seeded
    from imprint.runs import Store, files, locks, manifest, store

    os.fsync = lambda descriptor: None
    WATCHED = {module.__file__ for module in (chain_steps, files, locks, manifest, store)}
    STEP = Chain(start=Seeded(seed=7))
    STEP.key

    def attempt(root, kill_at):
        if (child := os.fork()) == 0:
            lines = 0
            def trace(frame, event, argument):
                nonlocal lines
                if frame.f_code.co_filename not in WATCHED:
                    return None
                lines += event == "line"
                if lines == kill_at > 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return trace
            sys.settrace(trace)
            Store(root).get(STEP)
            sys.settrace(None)
            (root.parent / f"{root.name}.lines").write_text(str(lines))
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def files_of(folder):
        paths = (path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json")
        return {str(path.relative_to(folder)): path.read_bytes() for path in paths}

    here = Path(sys.argv[1])
    assert attempt(here / "whole", 0) == 0
    whole = files_of(Store(here / "whole").path(STEP))
    assert sorted(whole) == ["last.txt", *sorted(f"states/{round}.txt" for round in (2, 5, 8, 11))], sorted(whole)
    lines = int((here / "whole.lines").read_text())
    moments = sorted({*range(1, lines, max(1, lines // 28)), *range(lines - 10, lines)})
    resumed = 0
    for moment in moments:
        root = here / str(moment)
        assert attempt(root, moment) == -signal.SIGKILL, moment
        if moment % 3 == 0:
            attempt(root, moment // 2)  # a second kill
        results = Store(root)
        assert results.verify() == [], (moment, results.verify())
        if results.has(STEP):
            assert files_of(results.path(STEP)) == whole, moment
        assert attempt(root, 0) == 0, moment
        assert files_of(results.path(STEP)) == whole, moment
        assert results.verify() == [], moment
        assert results.prune([STEP]) == [], moment  # a killed process may leave an empty lock file, no more
        assert {path.name for path in root.iterdir()} == {entry.key[:2] for entry in results.list()}, moment
        resumed += results.entry(STEP.key).manifest.resumed
    print(len(moments), resumed)
"""


def wait_until(condition, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.005)


def rounds(log: Path) -> list[list[str]]:
    """[process id, round] of every round begun."""
    return [line.split() for line in log.read_text().splitlines()] if log.exists() else []


@pytest.fixture
def chain(user):
    user.write("chain_steps", STEPS)
    user.write("get_chain", GET)
    user.write("sweep", SWEEP)
    return user


def test_a_kill_at_any_moment_is_resumed_to_the_same_bytes(chain, tmp_path):
    moments, resumed = map(int, chain.run("sweep.py", tmp_path).split())
    assert moments >= 35
    assert resumed >= 15


def test_a_killed_process_is_resumed_from_its_checkpoint_to_the_same_bytes(chain, tmp_path, snapshot):
    whole = Path(chain.run("get_chain.py", tmp_path / "whole", 1, 0.01).strip())
    logs = [tmp_path / f"log {attempt}" for attempt in range(3)]
    for log, seen in zip(logs[:2], (4, 5), strict=True):
        process = chain.start("get_chain.py", tmp_path / "runs", 1, 0.01, LOG=str(log))
        wait_until(lambda log=log, seen=seen: len(rounds(log)) >= seen)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        assert list((tmp_path / "runs").glob("*.part"))
    folder = Path(chain.run("get_chain.py", tmp_path / "runs", 1, 0.01, LOG=str(logs[2])).strip())
    assert snapshot(folder) == snapshot(whole)
    starts = [int(rounds(log)[0][1]) for log in logs]
    assert starts[0] == 0 < starts[1] < starts[2]


def test_two_processes_on_one_step_compute_it_once(chain, tmp_path):
    log = tmp_path / "log"
    both = [chain.start("get_chain.py", tmp_path / "runs", 1, 0.02, LOG=str(log)) for _ in range(2)]
    outputs = [process.communicate(timeout=30) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert outputs[0][0] == outputs[1][0]
    assert [round for _, round in rounds(log)] == [str(round) for round in range(12)]
    assert len({process for process, _ in rounds(log)}) == 1
    assert Store(tmp_path / "runs").verify() == []


def test_a_waiting_process_takes_over_when_the_other_is_killed(chain, tmp_path):
    log = tmp_path / "log"
    first = chain.start("get_chain.py", tmp_path / "runs", 1, 0.15, LOG=str(log))
    wait_until(lambda: len(rounds(log)) >= 1)
    second = chain.start("get_chain.py", tmp_path / "runs", 1, 0.15, LOG=str(log))
    wait_until(lambda: len(rounds(log)) >= 4)
    first.kill()
    first.communicate()
    _, errors = second.communicate(timeout=30)
    assert second.returncode == 0, errors
    begun = {process: int(round) for process, round in reversed(rounds(log))}
    assert begun[str(first.pid)] == 0
    assert begun[str(second.pid)] >= 3


EDITED = {
    "constants_a": "FACTOR = 1",
    "base_a": """
        from imprint.runs import Step, write_json

        class Base(Step):
            number: int = 1
            def execute(self, folder, context):
                write_json(folder / "n.json", self.number)
        """,
    "top_a": """
        import constants_a
        from base_a import Base
        from imprint.runs import Step, read_json, write_json

        class Top(Step):
            base: Step = Base()
            def execute(self, folder, context):
                number = read_json(context.get(self.base) / "n.json")
                write_json(folder / "n.json", number * constants_a.FACTOR)
        """,
    "show": """
        import sys
        from pathlib import Path
        from imprint.runs import Store, read_json
        from top_a import Top

        print(read_json(Store(Path(sys.argv[1])).get(Top()) / "n.json"))
        """,
}


def test_an_edit_is_never_answered_with_the_old_result(user, tmp_path):
    paths = {name: user.write(name, text) for name, text in EDITED.items()}

    def show() -> int:
        return int(user.run("show.py", tmp_path / "runs"))

    def edit(name: str, old: str, new: str) -> int:
        text = paths[name].read_text()
        assert old in text
        paths[name].write_text(text.replace(old, new))
        return show()

    assert show() == 1
    assert edit("constants_a", "FACTOR = 1", "FACTOR = 5") == 5  # a constant in a helper
    assert edit("base_a", "number: int = 1", "number: int = 2") == 10  # a default upstream
    assert edit("base_a", "self.number", "-self.number") == -10  # the code of a step upstream
    assert edit("top_a", "number *", "number +") == 3  # its own code
    kinds = [entry.step for entry in Store(tmp_path / "runs").list()]
    assert (kinds.count("base_a.Base"), kinds.count("top_a.Top")) == (3, 5)


def test_steps_of_one_store_do_not_see_a_moved_working_folder(store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    relative = Store(Path("runs"))
    relative.get(Number())
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert relative.has(Number())
