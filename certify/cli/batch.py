"""`certify batch INSTANCES.csv... --out DIR`: a campaign."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from certify.cli.errors import reported
from certify.cli.gate import FailOn, Reports, gate
from certify.errors import InputError
from certify.threads import cores

if TYPE_CHECKING:
    from certify.batch.journal import Journal
    from certify.batch.record import Record
    from certify.batch.task import Options, Task
    from certify.cli.batch_progress import BatchProgress

INCOMPLETE = 3


class Retried(str, Enum):
    """Values of --retry."""

    error = "error"
    oom = "oom"
    timeout = "timeout"
    unknown = "unknown"


def batch(
    sources: Annotated[
        list[Path],
        typer.Argument(metavar="INSTANCES.csv...", help="Lists of instances, or folders of models and specs."),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the campaign.")],
    jobs: Annotated[int, typer.Option(min=1, help="Instances at once; the cores are shared out among them.")] = 1,
    timeout: Annotated[float | None, typer.Option(min=0.0, help="Seconds per instance, instead of its own.")] = None,
    memory: Annotated[float | None, typer.Option(min=128.0, help="Memory limit per instance in MiB.")] = None,
    backend: Annotated[str, typer.Option(help="How to prove; `certify backends` lists them.")] = "native",
    shard: Annotated[str | None, typer.Option(metavar="I/N", help="Only part I of N, from 1.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what DIR holds.")] = False,
    retry: Annotated[
        str, typer.Option(metavar="error,oom,timeout,unknown", help="Run these again; implies --resume.")
    ] = "",
    warm: Annotated[
        bool, typer.Option("--warm", help="Workers that stay, for many small instances, not a process for each.")
    ] = False,
    certificates: Annotated[
        bool, typer.Option("--certificates", help="Keep a certificate of every verdict in DIR/certificates.")
    ] = False,
    recheck: Annotated[
        bool,
        typer.Option("--recheck", help="Say unsat only if the checker accepts the proof, as `certify check` does."),
    ] = False,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop at the first violation or error.")] = False,
    cluster: Annotated[
        str | None, typer.Option(metavar="ADDRESS|local", help="Run on a Ray cluster (needs the package ray).")
    ] = None,
    cpus: Annotated[int, typer.Option(min=1, help="With --cluster: cores per instance.")] = 1,
    gpus: Annotated[float, typer.Option(min=0.0, help="With --cluster: GPUs per instance.")] = 0.0,
    report: Reports = None,
    fail_on: FailOn = None,
) -> None:
    """Run every instance in a process of its own and keep what came of it in DIR.

    DIR/results.jsonl gets one line per instance, as it ends; DIR/results.csv is as VNN-COMP writes it, with the
    counterexamples beside it. Whatever is killed, --resume goes on. Exit codes: 0 all instances were run, whatever came
    of them (with --fail-on as for `certify check`), 2 input or usage error, 3 stopped before the end.
    """
    with reported():
        from certify.batch.instances import read_instances
        from certify.batch.instances import shard as part_of
        from certify.batch.journal import Journal, last_of_each
        from certify.batch.results import write_results
        from certify.batch.task import Options, make_tasks
        from certify.cli.batch_progress import BatchProgress

        door = gate(report, fail_on, by_default=())
        again = _statuses(retry)
        _check_backend(backend)
        if cluster and warm:
            raise InputError("--warm and --cluster do not go together", "leave one of them out")
        if cluster and certificates:
            raise InputError("certificates are not brought back from a cluster", "--recheck checks them where they are")
        instances = read_instances(sources)
        instances = instances if shard is None else part_of(instances, shard)
        share = cpus if cluster else max(1, cores() // jobs) if jobs > 1 or warm else None
        options = Options(timeout, memory, backend, processes=share, certificates=certificates, recheck=recheck)
        with Journal(out, resume or bool(again)) as journal:
            tasks = list({task.identity: task for task in make_tasks(instances, options)}.values())
            open_tasks = [t for t in tasks if t.identity not in journal.records or _status(journal, t) in again]
            progress = BatchProgress(len(tasks), [journal.records[t.identity] for t in tasks if t not in open_tasks])
            try:
                with progress:
                    records = (
                        _on_cluster(cluster, open_tasks, out, options, gpus) if cluster
                        else _here(open_tasks, out, jobs, warm, progress)
                    )  # fmt: skip
                    complete = _keep(records, journal, progress, fail_fast)
            except KeyboardInterrupt:
                complete = False
            finally:
                write_results(out, last_of_each(journal.records.values()))
            progress.summary(out, complete)
            code = door.close({"": [journal.records[t.identity] for t in tasks if t.identity in journal.records]})
    raise typer.Exit(code if complete or code else INCOMPLETE)


def _keep(records: Generator[Record], journal: Journal, progress: BatchProgress, fail_fast: bool) -> bool:
    """Append the records as they come; whether all came."""
    with closing(records):
        for record in records:
            journal.append(record)
            progress.done(record)
            if fail_fast and record.status in ("sat", "error"):
                return False
    return True


def _here(tasks: Sequence[Task], out: Path, jobs: int, warm: bool, progress: BatchProgress) -> Generator[Record]:
    """On this machine."""
    from certify.batch.runner import local_lanes, run

    lanes = local_lanes(out, min(jobs, len(tasks)), warm)
    return run(tasks, lanes, lambda: progress.running([lane.task for lane in lanes if lane.task is not None]))


def _on_cluster(address: str, tasks: Sequence[Task], out: Path, options: Options, gpus: float) -> Generator[Record]:
    from certify.batch.cluster import Resources, run_on_cluster

    return run_on_cluster(tasks, address, Resources(options.processes or 1, gpus, options.memory), out)


def _statuses(retry: str) -> set[str]:
    """Statuses of the records to forget."""
    words = {word.strip() for word in retry.split(",") if word.strip()}
    for word in words:
        if word not in Retried.__members__:
            raise InputError(f"--retry {word}: there is no such outcome", f"choose of {','.join(Retried.__members__)}")
    return {"out-of-memory" if word == "oom" else word for word in words}


def _status(journal: Journal, task: Task) -> str:
    return journal.records[task.identity].status


def _check_backend(name: str) -> None:
    """Better one error now than one per instance."""
    from certify.backends.base import load_backend

    load_backend(name)
