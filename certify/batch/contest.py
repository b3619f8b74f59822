"""What several tools said about the same instances: results read, matched by file names, counterexamples graded."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from certify.batch.instances import VERSIONS, Instance, parse_networks, read_instances
from certify.batch.journal import JOURNAL, read_journal
from certify.batch.results import RESULTS, Row, read_results, rows_of
from certify.batch.score import Answer, Rules, Standing, in_time, standings, without_overhead
from certify.errors import InputError
from certify.files import resolve
from certify.witness.grade import grade

# What the organisers run to see how long a tool takes to start; and instances for trying out.
NOT_SCORED = ("test_nano", "test_tiny")
Key = tuple[str, ...]


@dataclass
class Tool:
    """A tool's results. folder: where its counterexamples lie below. times: seconds allowed, as far as it knows."""

    name: str
    folder: Path
    rows: list[Row]
    times: dict[Key, float] = field(default_factory=dict)


@dataclass
class Contest:
    """All answers. benchmarks: by name, for each instance the answers by tool. notes: what could not be looked at."""

    benchmarks: dict[str, list[dict[str, Answer]]]
    notes: list[str]

    def standings(self, rules: Rules) -> dict[str, dict[str, Standing]]:
        """By benchmark and tool."""
        found = {name: standings(rules, instances) for name, instances in self.benchmarks.items()}
        return {name: table for name, table in found.items() if table}


def read_tool(text: str) -> Tool:
    """A tool's results, for [NAME=]PATH: a results.csv, or a folder with one, or one that certify batch wrote."""
    name, _, place = text.rpartition("=") if not Path(text).exists() else ("", "", text)
    path = Path(place)
    if path.is_dir() and (path / JOURNAL).exists():
        records = read_journal(path)
        times = {_key(r.category, r.networks, r.spec): r.timeout for r in records}
        return Tool(name or path.resolve().name, path, rows_of(records), times)
    file = path / RESULTS if path.is_dir() else path
    return Tool(name or (file.parent.resolve().name if path.is_dir() else file.stem), file.parent, read_results(file))


def hold(tools: Sequence[Tool], rules: Rules, benchmarks: Iterable[Path] = ()) -> Contest:
    """All answers side by side.

    benchmarks: lists of instances, or folders of them, which know the seconds allowed and where the files lie; without
    them, times are those of our own campaigns, and counterexamples are graded where the paths in the results open.
    Raises InputError for two tools of one name, or results that name no network or property.
    """
    names = Counter(tool.name for tool in tools)
    for name, count in names.items():
        if count > 1:
            raise InputError(f"{count} results are called {name}", "name them: certify score first=PATH second=PATH")
    benchmarks = list(benchmarks)
    listed: dict[Key, list[Instance]] = defaultdict(list)
    times = {key: seconds for tool in tools for key, seconds in tool.times.items()}
    for instance in read_instances(benchmarks) if benchmarks else ():
        key = _key(instance.category, instance.networks, instance.spec)
        listed[key].append(instance)
        times |= {} if instance.timeout is None else {key: instance.timeout}
    answers: dict[Key, dict[str, Answer]] = defaultdict(dict)
    notes: Counter[str] = Counter()
    for tool in tools:
        own: dict[Key, Answer] = {}
        for row in tool.rows:
            instance = _instance(row)
            if row.category == "test" or any(n in row.onnx for n in NOT_SCORED):
                continue
            key = _key(instance.category, instance.networks, instance.spec)
            answer = in_time(Answer(row.result, row.run_time), times.get(key))
            if answer.result == "sat" and rules.year > 2021:
                answer = _graded(answer, tool, _files(instance, listed[key]), instance, rules.year, notes)
            own[key] = answer
        for key, answer in without_overhead(rules, own).items():
            answers[key][tool.name] = answer
    late = sum(key not in times for key in answers)
    if late:
        notes[f"{late} instances have no known time limit: give the benchmarks' instances.csv (--benchmarks)"] = 0
    found: dict[str, list[dict[str, Answer]]] = defaultdict(list)
    for key, by_tool in answers.items():
        found[key[0]].append(by_tool)
    return Contest(dict(sorted(found.items())), [f"{n} {text}" if n else text for text, n in notes.items()])


def _files(row: Instance, listed: Sequence[Instance]) -> Instance:
    """Where the row's files are: where it says, or in the list of the same version of VNN-LIB."""
    if not listed or resolve(row.spec).exists():
        return row
    versions = set(PurePosixPath(row.spec).parts) & set(VERSIONS)
    return next((i for i in listed if versions & set(PurePosixPath(i.spec).parts)), listed[0])


def _graded(answer: Answer, tool: Tool, files: Instance, row: Instance, year: int, notes: Counter[str]) -> Answer:
    """The answer with the organisers' word for its counterexample; without one where the files are not here."""
    if not all(resolve(file).exists() for file in (*files.networks.values(), files.spec)):
        notes["counterexamples were not looked at: model or property is not here (--benchmarks)"] += 1
        return answer
    models = files.networks.get("", files.networks)
    try:
        word = grade(models, files.spec, _witness_file(tool.folder, row), year)
    except InputError as error:
        notes[f"counterexamples were not looked at: {error}"] += 1
        return answer
    return Answer(answer.result, answer.seconds, word)


def _witness_file(folder: Path, instance: Instance) -> Path | None:
    """The counterexample, under the names that the organisers and we use, packed or not."""
    path = instance.witness_path(folder)
    plain = Instance(instance.category, {n: Path(f).name for n, f in instance.networks.items()}, instance.spec)
    candidates = [path.with_name(f"{i.name}.counterexample{end}") for i in (instance, plain) for end in ("", ".gz")]
    return next((file for file in candidates if file.exists()), None)


def _instance(row: Row) -> Instance:
    try:
        return Instance(row.category, parse_networks(row.onnx), row.vnnlib)
    except ValueError as error:
        raise InputError(f"results of {row.category}: {error}", "is this a results.csv?") from None


def _key(category: str, networks: Mapping[str, str], spec: str) -> Key:
    """What an instance is called wherever the benchmarks lie: its paths from onnx/ or vnnlib/ on."""
    return category, *(_below(file, "onnx") for file in networks.values()), _below(spec, "vnnlib")


def _below(file: str, folder: str) -> str:
    parts = PurePosixPath(file.removesuffix(".gz")).parts
    places = [place for place, part in enumerate(parts) if part == folder]
    return "/".join(parts[places[-1] + 1 :]) if places else parts[-1]
