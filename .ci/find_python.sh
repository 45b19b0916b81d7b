#!/bin/sh
# Prints the path of a Python interpreter:
#   find_python.sh           for .venv: the newest for which torch has a wheel
#   find_python.sh 3.13      of this version, or nothing if there is none that works
cd "$(dirname "$0")/.." || exit 1

# An inactive shim of pyenv is on the PATH but does not start, hence the second place.
find_version() {
    for python in "python$1" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1".*/bin/python"$1"; do
        if "$python" -c 'import ensurepip, venv' 2>/dev/null; then
            "$python" -c 'import sys; print(sys.executable)'
            return
        fi
    done
}

# The address of the torch wheel that pip would install for an interpreter, or nothing.
find_torch() {
    folder=$(mktemp -d)
    "$1" -m venv "$folder" 2>/dev/null && "$folder/bin/pip" install --quiet --dry-run --no-deps \
        --only-binary :all: --constraint constraints.txt --report - torch 2>/dev/null | grep '"url":'
    rm -r "$folder"
}

if [ $# -eq 1 ]; then
    find_version "$1"
    exit
fi
# On Linux the torch wheels of PyPI are built for CUDA and bring several GB. If pip is configured to
# find a CPU build (find-links, an extra index), an interpreter with that build is preferred.
for version in 3.14 3.13 3.12 3.11; do
    python=$(find_version $version)
    [ -n "$python" ] || continue
    any=${any:-$python}
    case $(find_torch "$python") in
    *+cpu* | *%2Bcpu*)
        echo "$python"
        exit
        ;;
    ?*) newest=${newest:-$python} ;;
    esac
done
echo "${newest:-${any:-python3.11}}"
