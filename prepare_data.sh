#!/bin/sh
# Tokenise a data set: prepare_data.sh <dataset> <seq-len>
#
# Reads and writes <work_dir>/data/<dataset>. <work_dir> is the folder above `programs` if this file
# lies in <work_dir>/programs/<any name>/, else $DEXA_WORK_DIR, else the current folder.
# $DEXA_PYTHON names the interpreter and $DEXA_ENCODER the encoder whose tokenizer is used.
# e.g. ./prepare_data.sh LF-AmazonTitles-131K 32

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd) || exit 1
python=python3
if [ -x "$here/.venv/bin/python" ]; then python=$here/.venv/bin/python; fi
exec "${DEXA_PYTHON:-$python}" -m dexa.research_code --program "$here" prepare "$@"
