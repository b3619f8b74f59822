#!/bin/bash
# VNN-COMP: run_instance.sh v1 CATEGORY ONNX VNNLIB RESULTS_FILE TIMEOUT. The same for every category.
# ONNX is a path, or for several networks the list [('f', 'a.onnx'), ('g', 'b.onnx')], which certify reads too.
[ "$1" = v1 ] || { echo "expected version v1, got '$1'" >&2; exit 1; }
certify=${CERTIFY:-$(dirname "$(realpath "$0")")/../.venv/bin/certify}
witness=$(mktemp)
trap 'rm -f "$witness"' EXIT
answer=$("$certify" check "$3" "$4" --timeout "$6" --counterexample "$witness")
verdict=${answer%%$'\n'*}
{
    echo "${verdict:-error}"
    if [ "$verdict" = sat ]; then cat "$witness"; fi
} > "$5.part"
mv "$5.part" "$5"
exit 0
