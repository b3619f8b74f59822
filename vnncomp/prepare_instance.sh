#!/bin/bash
# VNN-COMP: prepare_instance.sh v1 CATEGORY ONNX VNNLIB. Nothing to prepare: files are read as they are, packed or not.
[ "$1" = v1 ] || { echo "expected version v1, got '$1'" >&2; exit 1; }
exit 0
