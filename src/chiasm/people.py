"""People of a model, by name: who or what it was adapted to, as extended codes A in people/ of its folder."""

from __future__ import annotations

import hashlib
import shutil
from contextlib import suppress
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from chiasm.files import write_atomically
from chiasm.networks import CrossModel
from chiasm.runs import CARD_FILE, MATRIX_FILE, MAX_NAME, MODEL_FILE, PEOPLE_FOLDER, WEIGHTS_FILE, is_name

SIGN = "@"
"""Before the name of a person wherever an image may stand, too."""
ENDING = ".safetensors"
CODE = "a"
MODEL = "model"

PersonCode = Float[Tensor, "1 a"]


class PersonError(ValueError):
    """A person that is not here or cannot be used; the message names it and the remedy."""


def name_of(given: object) -> str | None:
    """The name in "@name"; None for anything else, such as an image."""
    return given.removeprefix(SIGN) if isinstance(given, str) and given.startswith(SIGN) else None


def check_person(name: str) -> None:
    """Refuse what is no name of a person.

    Raises:
        PersonError: if so.
    """
    if not is_name(name) or name.startswith(SIGN):
        shown = name if len(name) <= MAX_NAME else f"{name[:20]}... of {len(name)} characters"
        raise PersonError(
            f"name: got {shown!r}; give 1 to {MAX_NAME} letters, digits, '-', '_' or '.' in between, without '@'."
        )


def people_of(folder: Path, digest: str | None = None) -> list[str]:
    """The names of the people of a model, sorted.

    Args:
        folder: of the model.
        digest: of the model, see digest_of: without those whom it knew before it was trained on. By default all.
    """
    files = {path.name.removesuffix(ENDING): path for path in (folder / PEOPLE_FOLDER).glob(f"*{ENDING}")}
    names = sorted(name for name in files if is_name(name) and not name.startswith(SIGN))
    return names if digest is None else [name for name in names if _model_of(files[name]) == digest]


def _model_of(file: Path) -> str | None:
    """The digest of the model that a person's file is for, if it says so."""
    with suppress(OSError, SafetensorError), safe_open(file, "pt") as tensors:
        return (tensors.metadata() or {}).get(MODEL)
    return None


def person_file(folder: Path, name: str) -> Path:
    """Where a model folder has a person."""
    return folder / PEOPLE_FOLDER / f"{name}{ENDING}"


def require_new(folder: Path, name: str) -> None:
    """Refuse a name that is no name, or taken.

    Raises:
        PersonError: if so.
    """
    check_person(name)
    if person_file(folder, name).exists():
        raise PersonError(f"{folder} has a person {name} already; give another name, or replace them: --overwrite")


def save_person(folder: Path, name: str, code: PersonCode, digest: str) -> None:
    """Write a person into a model folder; one of that name is replaced whole.

    Args:
        folder: of the model.
        name: of the person.
        code: extended code A.
        digest: of the model that the code is for, see digest_of.

    Raises:
        PersonError: if the name is none.
        OSError: if the file cannot be written.
    """
    check_person(name)
    file = person_file(folder, name)
    file.parent.mkdir(exist_ok=True)
    tensors = {CODE: code.detach().to("cpu", torch.float32).contiguous()}
    try:
        write_atomically(file, partial(save_file, tensors, metadata={MODEL: digest}))
    except SafetensorError as error:  # such as a full disk
        raise OSError(f"{file}: {error}") from error


def load_person(folder: Path, name: str, width: int, digest: str) -> PersonCode:
    """Read a person; nothing is unpickled, and no file is read that claims to hold anything else.

    Args:
        folder: of the model.
        name: of the person.
        width: of the model's extended code A.
        digest: of the model, see digest_of.

    Raises:
        PersonError: if there is none of that name, or not of this model.
    """
    check_person(name)
    file = person_file(folder, name)
    if not file.is_file():
        known = ", ".join(f"{SIGN}{other}" for other in people_of(folder)) or "nobody; see: chiasm adapt --help"
        raise PersonError(f"{SIGN}{name}: {folder} has no such person; it has {known}")
    try:
        with safe_open(file, "pt") as tensors:
            slices = {key: tensors.get_slice(key) for key in tensors.keys()}  # noqa: SIM118  (it is no dictionary)
            shapes = {key: (part.get_shape(), part.get_dtype()) for key, part in slices.items()}
            of_model = (tensors.metadata() or {}).get(MODEL)
            if shapes != {CODE: ([1, width], "F32")}:
                raise PersonError(f"{file} holds no extended code A of {width} numbers; adapt the model again.")
            if of_model != digest:
                raise PersonError(f"{file} is of another model, or of this one before it was trained on; adapt again.")
            code = tensors.get_tensor(CODE)
    except (OSError, SafetensorError) as error:
        raise PersonError(f"{file} cannot be read ({error}); adapt the model again.") from error
    if not code.isfinite().all():
        raise PersonError(f"{file} holds NaN or infinity; adapt the model again.")
    return code


def copy_model(folder: Path, place: Path) -> None:
    """Copy what is a model's own, its people too, and nothing that lies beside it.

    Args:
        folder: of the model; files that it does not have are left out.
        place: an empty folder.
    """
    people = [f"{PEOPLE_FOLDER}/{name}{ENDING}" for name in people_of(folder)]
    if people:
        (place / PEOPLE_FOLDER).mkdir()
    for name in (MODEL_FILE, WEIGHTS_FILE, CARD_FILE, MATRIX_FILE, *people):
        if (folder / name).is_file():
            write_atomically(place / name, partial(shutil.copyfile, folder / name))


def digest_of(model: CrossModel) -> str:
    """A hash of a model's weights: a code means nothing to others."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\0".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
