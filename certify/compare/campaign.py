"""The same questions to several models, one after the other, each model a campaign of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import permutations
from pathlib import Path

from certify.backends.base import load_backend
from certify.batch.instances import Instance
from certify.batch.journal import Journal
from certify.batch.record import Record
from certify.batch.results import write_results
from certify.batch.runner import Watch, local_lanes, run
from certify.batch.task import Options, Task, make_tasks
from certify.compare.exchange import Replayer, contradicted
from certify.compare.reuse import Reuse, Saving, Work, agreed, with_plans
from certify.compare.specs import of_model
from certify.errors import InputError
from certify.threads import cores


@dataclass(frozen=True)
class Plan:
    """How to run: folder, below which each model has one; options of every task; jobs at once; workers that stay;
    whether to go on with what the folder holds; whether later models begin where the first one's proofs ended.
    """

    folder: Path
    options: Options
    jobs: int = 1
    warm: bool = False
    resume: bool = False
    reuse: Reuse = "off"


def shared(
    timeout: float | None, memory: float | None, backend: str, jobs: int, warm: bool, recheck: bool = False,
    reuse: Reuse = "off",
) -> Options:  # fmt: skip
    """What every specification is run with. Raises InputError for a backend that does not exist, or keeps no plans."""
    load_backend(backend)
    if reuse != "off" and backend != "native":
        raise InputError(f"backend '{backend}' follows no plan", "use --backend native, or leave out --reuse")
    processes = max(1, cores() // jobs) if jobs > 1 or warm else None
    return Options(timeout, memory, backend, processes=processes, recheck=recheck, plans=reuse != "off")


@contextmanager
def kept(out: str | Path | None) -> Iterator[Path]:
    """The folder of the campaigns: the one given, or one that is gone afterwards."""
    if out is not None:
        yield Path(out)
        return
    with tempfile.TemporaryDirectory(prefix="certify-compare-") as scratch:
        yield Path(scratch)


@dataclass
class Exchange:
    """How many counterexamples of `origin` were tried on `target`, and how many hold there."""

    origin: str
    target: str
    tried: int = 0
    held: int = 0


@dataclass
class Campaign:
    """records: by the name of the model, in the order of the specifications; savings: where plans were followed."""

    plan: Plan
    records: dict[str, list[Record]] = field(default_factory=dict)
    exchanges: dict[tuple[str, str], Exchange] = field(default_factory=dict)
    savings: list[Saving] = field(default_factory=list)
    replayer: Replayer = field(default_factory=Replayer)

    def run(self, models: Mapping[str, str], instances: Sequence[Instance], watch: Watch) -> None:
        """Ask every model, in order. models: the file of each, by name.

        A counterexample of an earlier model is tried before a later one is run, and in the end every one on all models.
        Raises InputError for a folder that cannot be used.
        """
        with ExitStack() as stack:
            journals: dict[str, Journal] = {}
            for number, (name, file) in enumerate(models.items()):
                folder = self.plan.folder / f"{number}-{Path(file).name.split('.onnx')[0]}"
                journals[name] = stack.enter_context(Journal(folder, self.plan.resume))
            for name, file in models.items():
                later = bool(self.records)
                options = replace(self.plan.options, plans=self.plan.options.plans and not later)
                tasks = make_tasks(of_model(instances, file), options)
                ask = self._follow if later and self.plan.options.plans else self._ask
                self.records[name] = ask(tasks, journals, name, watch)
            self._exchange(journals)
            for name, journal in journals.items():
                write_results(journal.folder, self.records[name])

    def _ask(
        self, tasks: Sequence[Task], journals: Mapping[str, Journal], name: str, watch: Watch, replayed: bool = True
    ) -> list[Record]:
        """The records of one model's tasks; those that the journal has are taken from it.

        replayed: whether counterexamples of earlier models are tried first; of a task for each specification.
        """
        journal, waiting = journals[name], []
        for place, task in enumerate(tasks):
            record = journal.records.get(task.identity)
            if record is None and replayed:
                record = self._replayed(place, task, journal.folder)
                if record is not None:
                    journal.append(record)
            if record is None:
                waiting.append(task)
            else:
                watch.done(record)
        lanes = local_lanes(journal.folder, min(self.plan.jobs, len(waiting)), self.plan.warm)
        for record in run(waiting, lanes, lambda: watch.running([lane.task for lane in lanes if lane.task])):
            journal.append(record)
            watch.done(record)
        return [journal.records[task.identity] for task in tasks]

    def _follow(self, tasks: Sequence[Task], journals: Mapping[str, Journal], name: str, watch: Watch) -> list[Record]:
        """The records of a later model's tasks, with plans where there are some, and to measure without them too."""
        origin, first = next(iter(self.records.items()))
        planned = with_plans(tasks, first, journals[origin].folder)
        ours = Work.of([first[i] for i in planned])
        if self.plan.reuse == "on":
            records = self._ask([planned.get(i, task) for i, task in enumerate(tasks)], journals, name, watch)
            self.savings.append(Saving(name, len(planned), ours, Work.of([records[i] for i in planned])))
            return records
        records = self._ask(tasks, journals, name, watch)
        again = dict(zip(planned, self._ask(list(planned.values()), journals, name, Watch(), False), strict=True))
        after, alone = (Work.of([found[i] for i in planned]) for found in (again, records))
        self.savings.append(Saving(name, len(planned), ours, after, alone))
        return [agreed(record, again.get(i, record)) for i, record in enumerate(records)]

    def _replayed(self, place: int, task: Task, folder: Path) -> Record | None:
        """The record of a task that a counterexample of an earlier model decides."""
        for origin, records in self.records.items():
            witness = records[place].witness
            record = (
                self.replayer.refute(task, witness, origin, folder)
                if records[place].status == "sat" and witness
                else None
            )
            if record is not None:
                return record
        return None

    def _exchange(self, journals: Mapping[str, Journal]) -> None:
        """Try every counterexample on every other model; those that hold revise what is known of it."""
        for origin, target in permutations(self.records, 2):
            exchange = self.exchanges.setdefault((origin, target), Exchange(origin, target))
            for place, found in enumerate(self.records[origin]):
                if found.status != "sat" or not found.witness:
                    continue
                known = self.records[target][place]
                held = self.replayer.holds(known, found.witness)
                exchange.tried, exchange.held = exchange.tried + 1, exchange.held + held
                if held and known.status != "sat":
                    self.records[target][place] = self._revised(known, found, origin, journals[target])

    def _revised(self, known: Record, found: Record, origin: str, journal: Journal) -> Record:
        """What is known of a model once another one's counterexample holds for it."""
        if known.status == "unsat":
            record = contradicted(known, origin)
        else:
            instance = Instance(known.category, known.networks, known.spec, known.timeout, known.index)
            task = Task(known.key, instance, self.plan.options, known.timeout, known.sha256)
            assert found.witness is not None
            record = self.replayer.refute(task, found.witness, origin, journal.folder) or known
        journal.append(record)
        return record
