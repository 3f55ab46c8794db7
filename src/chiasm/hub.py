"""Models to and from the Hugging Face Hub: the files of the model, its people and its card, nothing else."""

from __future__ import annotations

import glob
import importlib.util
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from chiasm.checkpoint import CheckpointError, load_model, model_folder, read_networks
from chiasm.files import folder_written_whole, is_free
from chiasm.people import ENDING, copy_model, digest_of, people_of, person_file
from chiasm.runs import CARD_FILE, MATRIX_FILE, MODEL_FILE, PEOPLE_FOLDER, WEIGHTS_FILE, is_name

NEEDED = (MODEL_FILE, WEIGHTS_FILE)
SHARED = (*NEEDED, CARD_FILE, MATRIX_FILE)
MAX_PEOPLE, MAX_PERSON_BYTES = 1000, 10_000_000
"""Of a repository: how many people, and how large the file of one may be; what is beyond stays there."""


class HubError(ValueError):
    """A model that cannot be pushed or pulled; the message names it and the remedy."""


def is_repo(name: str) -> bool:
    """Whether a name has the form of a repository, user/model, and of no file or folder here."""
    return bool(re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", name)) and not any(
        path.exists() for path in (Path(name), Path(name).parent)
    )


def push(path: Path, repo: str, *, public: bool = False) -> tuple[str, list[str]]:
    """Upload a model, with the people that it is adapted to, into a repository, which is made, private, where there is
    none. People there who are not here are removed.

    Args:
        path: a run folder or a model folder.
        repo: its name, user/model.
        public: whether a new repository is for everybody to see.

    Returns:
        The page of the repository, and the names of those people.

    Raises:
        CheckpointError, HubError: for a model that cannot be read or pushed.
    """
    folder = model_folder(path)
    digest = digest_of(load_model(folder))
    if not (folder / CARD_FILE).is_file():
        raise HubError(f"{folder} has no model card, {CARD_FILE}; chiasm evaluate writes it for a run.")
    with _explained(repo):
        from huggingface_hub import HfApi, get_token
        from huggingface_hub.errors import RemoteEntryNotFoundError, RepositoryNotFoundError

        if get_token() is None:
            raise HubError(f"{repo}: nobody is logged in; run: hf auth login, or set HF_TOKEN.")
        with suppress(RemoteEntryNotFoundError, RepositoryNotFoundError):
            _check(repo)
        api = HfApi(library_name="chiasm")
        api.create_repo(repo, private=not public, exist_ok=True)
        people = people_of(folder, digest)
        files = [person_file(folder, name).relative_to(folder).as_posix() for name in people]
        patterns = [*SHARED, *map(glob.escape, files)]
        api.upload_folder(
            repo_id=repo,
            folder_path=folder,
            allow_patterns=patterns,
            delete_patterns=[f"{PEOPLE_FOLDER}/*{ENDING}"],  # of people who are no longer here
            commit_message="chiasm push",
        )
        return f"{api.endpoint}/{repo}", people


def pull(repo: str, folder: Path) -> None:
    """Download a model into a new folder.

    Args:
        repo: its name, user/model.
        folder: must not exist, or be empty.

    Raises:
        HubError: if that cannot be.
    """
    if not is_free(folder):
        raise HubError(f"{folder} exists; give the name of a new folder: -o FOLDER")
    cached = fetch(repo)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder_written_whole(folder, new=True) as place:
        copy_model(cached, place)


def fetch(repo: str) -> Path:
    """Download a model into the Hub's cache, where it is not there yet.

    Returns:
        Its folder, to be read only.

    Raises:
        HubError: for a repository that cannot be read, or holds no model of chiasm.
    """
    with _explained(repo):
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError

        folder = _check(repo)
        for name in SHARED[1:]:
            try:
                hf_hub_download(repo, name, revision=folder.name, library_name="chiasm")
            except EntryNotFoundError:
                if name in NEEDED:
                    raise
        for name in _people(repo, folder.name):
            hf_hub_download(repo, name, revision=folder.name, library_name="chiasm")
        return folder


def _people(repo: str, commit: str) -> list[str]:
    """The files of people in a repository; none that are not cached already where the Hub cannot be reached."""
    from huggingface_hub import HfApi, errors
    from huggingface_hub.hf_api import RepoFile

    try:
        found = list(HfApi(library_name="chiasm").list_repo_tree(repo, PEOPLE_FOLDER, revision=commit))
    except (
        errors.EntryNotFoundError,
        errors.OfflineModeIsEnabled,
        errors.HTTPError,  # type: ignore[attr-defined]  # as in _explained
    ):
        return []
    files = [file for file in found if isinstance(file, RepoFile) and file.size <= MAX_PERSON_BYTES]
    paths = [file.path for file in files if file.path.endswith(ENDING)][:MAX_PEOPLE]
    return [path for path in paths if is_name(path.removeprefix(f"{PEOPLE_FOLDER}/").removesuffix(ENDING))]


def _check(repo: str) -> Path:
    """The folder, named by its commit, with the config.json of a repository, if that is of a model of chiasm."""
    from huggingface_hub import hf_hub_download

    file = Path(hf_hub_download(repo, MODEL_FILE, library_name="chiasm"))
    try:
        read_networks(file)
    except CheckpointError as error:
        raise HubError(f"{repo}: its {MODEL_FILE} is of no model of this version of chiasm; give another.") from error
    return file.parent


@contextmanager
def _explained(repo: str) -> Iterator[None]:
    """What the Hub says, in one line with the remedy."""
    if importlib.util.find_spec("huggingface_hub") is None:
        raise HubError(f"{repo}: huggingface_hub is not installed here; pip install 'chiasm[hub]'")
    from huggingface_hub import errors, logging

    logging.set_verbosity_error()  # it tells each of its tries to connect in several lines
    try:
        yield
    except errors.HFValidationError as error:
        raise HubError(f"{repo!r} is no name of a repository; give user/model.") from error
    except errors.RemoteEntryNotFoundError as error:
        raise HubError(f"{repo} holds no model: {MODEL_FILE} or {WEIGHTS_FILE} is missing there.") from error
    except errors.RepositoryNotFoundError as error:
        told = "neither a folder here nor a model on the Hub that you may read"
        raise HubError(f"{repo}: {told}; check the name, or log in: hf auth login") from error
    except errors.HfHubHTTPError as error:
        raise HubError(f"{repo}: {_of_status(error.response.status_code)}") from error
    # The last is the base of all errors of the connection, from whatever library huggingface_hub uses.
    except (
        errors.LocalEntryNotFoundError,
        errors.OfflineModeIsEnabled,
        errors.HTTPError,  # type: ignore[attr-defined]  # a re-export that its types do not show
    ) as error:
        told = "no folder here, and the Hub cannot be reached"
        raise HubError(f"{repo}: {told}; check the name, the network, HF_ENDPOINT and HF_HUB_OFFLINE.") from error


def _of_status(status: int) -> str:
    if status in (401, 403):
        return f"not allowed (HTTP {status}); log in with a token that may: hf auth login"
    return f"the Hub answered HTTP {status}; try again later."
