#!/bin/sh
# Train and test: run_main.sh <gpu_id> <type> <dataset> <version> <seed>
#
# gpu_id is -1 for the CPU; type is DEXA, NGAME or SiameseXML, with or without ++, DeepXML,
# DeepXML-OVA or DeepXML-ANNS. Reads configs/<type>/<dataset>.json and
# <work_dir>/data/<dataset>; writes v_<version>_<seed> in <work_dir>/{models,results}/<type>/<arch>/
# <dataset>/. For <work_dir>, $DEXA_PYTHON and $DEXA_ENCODER see prepare_data.sh.
# e.g. ./run_main.sh 0 DEXA LF-AmazonTitles-131K 0 108

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd) || exit 1
python=python3
if [ -x "$here/.venv/bin/python" ]; then python=$here/.venv/bin/python; fi
exec "${DEXA_PYTHON:-$python}" -m dexa.research_code --program "$here" run "$@"
