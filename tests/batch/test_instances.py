from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from certify.batch.instances import Instance, parse_networks, read_instances, shard
from certify.errors import InputError, ParseError


def write_list(folder: Path, text: str, name: str = "instances.csv") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(text.encode())
    return folder / name


def only(path: Path) -> Instance:
    (found,) = read_instances([path])
    return found


def test_a_row_is_relative_to_its_list(tmp_path: Path):
    path = write_list(tmp_path / "acasxu", "onnx/a.onnx,vnnlib/p.vnnlib,116\n")
    folder = tmp_path / "acasxu"
    expected = Instance("acasxu", {"": f"{folder}/onnx/a.onnx"}, f"{folder}/vnnlib/p.vnnlib", 116.0)
    assert only(path) == expected


@pytest.mark.parametrize(
    "row",
    [
        "onnx/a.onnx,vnnlib/p.vnnlib,116\r\n",
        "./onnx/a.onnx,./vnnlib/p.vnnlib,116.0\r\n\r\n",
        "\ufeffonnx/a.onnx , vnnlib/p.vnnlib , 116",
        '"onnx/a.onnx","vnnlib/p.vnnlib","116"\n',
    ],
    ids=["CRLF", "dots and an empty line", "a mark of byte order", "quotes"],
)
def test_forms_that_mean_the_same(tmp_path: Path, row: str):
    found = only(write_list(tmp_path, row))
    assert (found.networks, found.timeout) == ({"": f"{tmp_path}/onnx/a.onnx"}, 116.0)
    assert found.spec == f"{tmp_path}/vnnlib/p.vnnlib"


@pytest.mark.parametrize("quote", ['"', ""], ids=["quoted", "not quoted"])
def test_a_list_literal_names_the_networks(tmp_path: Path, quote: str):
    row = f"{quote}[('f', './onnx/a.onnx'), ('g', 'onnx/b.onnx')]{quote},vnnlib/instance_3.vnnlib,100\r\n"
    found = only(write_list(tmp_path, row))
    assert found.networks == {"f": f"{tmp_path}/onnx/a.onnx", "g": f"{tmp_path}/onnx/b.onnx"}
    assert found.name == "f_g_instance_3"


@pytest.mark.parametrize(
    "row",
    ["a.onnx", "a.onnx,p.vnnlib,soon", "a.onnx,p.vnnlib,-1", "a.onnx,p.vnnlib,inf", "a,b,3,4", "[('f'],p.vnnlib,3"],
)
def test_a_bad_row_is_named(tmp_path: Path, row: str):
    path = write_list(tmp_path, f"a.onnx,p.vnnlib,5\n{row}\n")
    with pytest.raises(ParseError, match=f"^{path}:2:1: "):
        read_instances([path])


@pytest.mark.parametrize("field", ["[]", "[('f', 1)]", "[('f', 'a'), ('f', 'b')]", "[1]", "[('f', 'a', 'b')]"])
def test_other_lists_are_refused(field: str):
    with pytest.raises(ValueError, match="not a list of networks"):
        parse_networks(field)


def test_two_columns_leave_the_time_open(tmp_path: Path):
    assert only(write_list(tmp_path, "a.onnx,p.vnnlib\n")).timeout is None


def test_versions_belong_to_the_benchmark_above_them(tmp_path: Path):
    path = write_list(tmp_path / "lsnc" / "2.0", "onnx/a.onnx,vnnlib/p.vnnlib,5\n")
    assert only(path).category == "lsnc"


def test_a_bare_name_is_found_in_the_usual_folder(tmp_path: Path):
    path = write_list(tmp_path, "a.onnx,p.vnnlib,5\n")
    for folder, name in (("onnx", "a.onnx.gz"), ("vnnlib", "p.vnnlib")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).touch()
    found = only(path)
    assert found.networks[""] == f"{tmp_path}/onnx/a.onnx"
    assert found.spec == f"{tmp_path}/vnnlib/p.vnnlib"


def test_a_packed_list_and_a_folder_of_benchmarks(tmp_path: Path):
    path = write_list(tmp_path / "b", "a.onnx,p.vnnlib,5\n")
    packed = tmp_path / "packed.csv.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert only(packed).spec == f"{tmp_path}/p.vnnlib"
    write_list(tmp_path / "a" / "1.0", "a.onnx,p.vnnlib,5\n")
    assert [(i.category, i.index) for i in read_instances([tmp_path])] == [("a", 0), ("b", 1)]


def test_subfolders_keep_counterexamples_apart():
    names = [
        Instance("s", {"": f"b/onnx/{part}/net_0.onnx"}, f"b/vnnlib/{part}/box_1.vnnlib.gz").name
        for part in ("medical", "ruarobot")
    ]
    assert names == ["medical_net_0_box_1", "ruarobot_net_0_box_1"]
    assert Instance("s", {"": "./onnx/net.onnx"}, "p.vnnlib").name == "net_p"


def test_loose_files_are_paired_by_name(tmp_path: Path):
    for name in ("net.onnx", "net_big.onnx.gz", "net_0.vnnlib", "net_big_0.vnnlib.gz"):
        (tmp_path / name).touch()
    found = {Path(i.spec).name: Path(i.networks[""]).name for i in read_instances([tmp_path])}
    assert found == {"net_0.vnnlib": "net.onnx", "net_big_0.vnnlib.gz": "net_big.onnx.gz"}


def test_a_spec_without_model_is_named(tmp_path: Path):
    for name in ("net.onnx", "other.onnx", "property.vnnlib"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=r"property.vnnlib: which of 2 models"):
        read_instances([tmp_path])


def test_nothing_at_all_is_an_error(tmp_path: Path):
    with pytest.raises(InputError, match="no instance"):
        read_instances([tmp_path])


def test_shards_share_out_everything_once():
    instances = [Instance("b", {"": str(i)}, "p") for i in range(10)]
    parts = [shard(instances, f"{i}/3") for i in (1, 2, 3)]
    assert sorted(i.networks[""] for part in parts for i in part) == [str(i) for i in range(10)]
    assert {len(part) for part in parts} == {3, 4}


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "a/b", "-1/2", "1/0"])
def test_a_bad_shard_is_refused(text: str):
    with pytest.raises(InputError, match="--shard"):
        shard([], text)
