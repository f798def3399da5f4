"""The machine: processors, threads, GPUs, memory, disks, and what the surroundings of a process say of them."""

import locale
import math
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vaescope.errors import one_line
from vaescope.health.finding import Finding, fault, note, ok, size, warning
from vaescope.health.probe import Answer

GIB = 1 << 30
CGROUP = Path("/sys/fs/cgroup")
ENOUGH_MEMORY = 2 * GIB
ENOUGH_DISK, LITTLE_DISK = GIB, 50 << 20
ENOUGH_FILES = 256
SIGNS = "−∥×…"
"""What vaescope prints beside the letters that every encoding has."""


def cgroup_files(name: str, root: Path = CGROUP, own: Path = Path("/proc/self/cgroup")) -> Iterator[list[str]]:
    """The words in the files called ``name`` of the control groups that this process is in, from its own one up."""
    lines = own.read_text().splitlines() if own.exists() else []
    paths = [line.partition("::")[2] for line in lines if line.startswith("0::")] or ["/"]
    here = root / paths[0].lstrip("/")
    for folder in (here, *here.parents):
        file = folder / name
        if root in (folder, *folder.parents) and file.is_file():
            yield file.read_text().split()


def cores() -> int:
    """On how many cores this process may compute: what it is bound to, or what its container is given if that is
    less."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [int(q) / int(period) for q, period in (w for w in cgroup_files("cpu.max") if len(w) == 2) if q != "max"]
    older = [next(cgroup_files(f"cpu/cpu.cfs_{kind}_us"), ["-1"])[0] for kind in ("quota", "period")]
    quotas += [int(older[0]) / int(older[1])] if int(older[0]) > 0 and int(older[1]) > 0 else []
    return max(1, min([bound, *(math.ceil(quota) for quota in quotas)]))


def threads(answers: Mapping[str, Answer]) -> Iterator[Finding]:
    """Whether torch computes on as many threads as there are cores for this process."""
    if "threads" not in answers or answers["threads"].error:
        return
    used, there = int(answers["threads"].facts["threads"]), cores()
    variables = [name for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS") if name in os.environ]
    said = ", ".join(f"{name}={os.environ[name]}" for name in variables)
    text = f"torch computes on {used} of {there} core{'s'[: there != 1]}" + (f" ({said})" if said else "")
    if used > there:
        yield warning(
            f"torch computes on {used} threads, but this process may use {there} core{'s'[: there != 1]}, so they wait "
            "for each other",
            f"export OMP_NUM_THREADS={there}",
        )
    elif variables and 2 * used <= there:
        yield warning(text, f"unset {' '.join(variables)}, unless several runs share the machine")
    else:
        yield ok(text)


def openmp(answers: Mapping[str, Answer]) -> Iterator[Finding]:
    """Whether two OpenMP runtimes are in one process, which may crash or give wrong sums."""
    libraries = answers.get("openmp", Answer()).facts.get("libraries", [])
    kinds = sorted({Path(library).name.split(".")[0].split("-")[0] for library in libraries})
    if os.environ.get("KMP_DUPLICATE_LIB_OK", "").lower() in ("1", "true", "yes", "on"):
        yield warning(
            "KMP_DUPLICATE_LIB_OK is set: two OpenMP runtimes in one process are let pass, which may crash or give "
            "wrong numbers",
            "unset KMP_DUPLICATE_LIB_OK, and install torch and numpy from one place (all with pip, or all with conda)",
        )
    if len(kinds) > 1:
        yield warning(
            f"{' and '.join(kinds)} are loaded into one process: {', '.join(map(str, libraries))}",
            "install torch and numpy from one place (all with pip, or all with conda), in a new environment",
        )
    elif libraries:
        yield ok(f"one OpenMP runtime, {kinds[0]}")


def products(answers: Mapping[str, Answer]) -> Iterator[Finding]:
    """Whether products of matrices are right, and in which precision training would take them."""
    if "products" not in answers:
        return
    answer = answers["products"]
    if answer.error:
        yield fault(f"matrices cannot be multiplied: {answer.error}", "pip install --force-reinstall torch")
        return
    facts, most = answer.facts, {"float32": 1e-5, "bfloat16": 3e-2}
    wrong = [f"{name} by {facts[name]:.1g}" for name, bound in most.items() if not facts[name] <= bound]
    if wrong:
        remedy = "pip install --force-reinstall torch; if that does not help, test the memory of this machine"
        yield fault(f"products are wrong: {', '.join(wrong)} of the largest entry", remedy)
    if not facts["denormals"]:
        yield warning(
            "a library has switched numbers below 1e-38 off for the whole process (it was built with -ffast-math), so "
            "last digits differ from those elsewhere",
            "find it among the libraries that are imported beside torch, or look at LD_PRELOAD",
        )
    if not wrong:
        yield ok(f"products are right in float32 and bfloat16; training takes {preference(answers)}")


def preference(answers: Mapping[str, Answer]) -> str:
    """In which precision training would multiply on the CPU, as it was measured before."""
    known: Mapping[str, float] | None = None
    for stage in ("vaescope", "measured"):
        known = answers.get(stage, Answer()).facts.get("precision") or known
    if not known:
        return "the faster one, which is measured when the first run starts"
    speeds = ", ".join(f"{kind} layers {ratio:.1f} times" for kind, ratio in known.items())
    return f"bfloat16 where it is 1.2 times as fast (here {speeds})"


def driver() -> bool:
    """Whether this machine has an NVIDIA GPU with a driver."""
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None


def gpus(answers: Mapping[str, Answer]) -> Iterator[Finding]:
    """Whether torch uses the GPUs that there are."""
    if "cuda" not in answers or answers.get("torch", Answer()).error:
        return
    answer, built = answers["cuda"], answers["torch"].facts.get("cuda") or answers["torch"].facts.get("hip")
    devices = answer.facts.get("devices", [])
    if answer.error:
        yield fault(f"GPUs cannot be asked for: {answer.error}", "train with --trainer.device cpu, or mend the driver")
    elif devices:
        yield from (_gpu(device, answer.facts.get("kinds", [])) for device in devices)
    elif os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1") and driver():
        remedy = "unset CUDA_VISIBLE_DEVICES to train on a GPU"
        yield note("CUDA_VISIBLE_DEVICES hides every GPU, so training takes the CPU", remedy)
    elif driver() and not built:
        yield warning(
            "this machine has an NVIDIA GPU, but torch was built for the CPU only",
            "install torch for CUDA, see https://pytorch.org/get-started/locally",
        )
    elif driver():
        why = f": {answer.told[0]}" if answer.told else ""
        yield warning(
            f"torch was built for CUDA {built} and finds no GPU, but this machine has one{why}",
            "update the NVIDIA driver, or install a torch for the CUDA that it has (nvidia-smi names it)",
        )
    elif built:
        yield ok(f"no GPU: training takes the CPU (torch was built for CUDA {built}; the one for CPUs is smaller)")
    else:
        yield ok("no GPU: training takes the CPU")


def _gpu(device: Mapping[str, Any], kinds: list[str]) -> Finding:
    """Whether a GPU works."""
    name = f"{device['name']} ({device['kind']})"
    if device["error"]:
        remedy = "install a torch that was built for it, or train with --trainer.device cpu"
        return fault(f"{name} does not work: {device['error']}", remedy)
    alike = any(kind.partition("_")[2][:-1] == device["kind"].partition("_")[2][:-1] for kind in kinds)
    if kinds and not alike:
        remedy = "install a newer torch if the first step takes long: it compiles for this GPU as it goes"
        return warning(f"{name} is none that torch was built for ({', '.join(kinds)})", remedy)
    return ok(f"{name} multiplies")


def memory_left() -> int | None:
    """Bytes that this process may still take; nothing where the system does not say."""
    info = Path("/proc/meminfo")
    rows = dict(line.split(":") for line in info.read_text().splitlines()) if info.exists() else {}
    found = [1024 * int(rows["MemAvailable"].split()[0])] if "MemAvailable" in rows else []
    limits, used = (list(cgroup_files(f"memory.{name}")) for name in ("max", "current"))
    pairs = zip(limits, used, strict=False)
    found += [int(limit[0]) - int(now[0]) for limit, now in pairs if limit and limit[0] != "max"]
    return min(found, default=None)


def memory() -> Iterator[Finding]:
    """Whether enough memory is left, and may be used."""
    left = memory_left()
    if left is None:
        return
    if left < ENOUGH_MEMORY:
        remedy = "close other programs, or train with a smaller --trainer.batch_size and --data.memory"
        yield warning(f"{size(left)} of memory are left, of which training takes about 1 GiB", remedy)
    else:
        yield ok(f"{size(left)} are left")


def limits() -> Iterator[Finding]:
    """Whether what this process is allowed is enough."""
    try:
        import resource
    except ImportError:  # Windows has none
        return
    files, space = (resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_AS))
    endless = resource.RLIM_INFINITY
    low = files != endless and files < ENOUGH_FILES
    narrow = space != endless and space < 8 * GIB
    if low:
        yield warning(f"only {files} files may be open at once", "ulimit -n 4096")
    if narrow:
        text = f"the address space is limited to {size(space)}, in which torch may not start"
        yield warning(text, "ulimit -v unlimited")
    shared = Path("/dev/shm")
    if shared.is_dir() and shutil.disk_usage(shared).total <= 64 << 20:
        yield note(
            f"/dev/shm has {size(shutil.disk_usage(shared).total)}: enough for vaescope, little for other programs"
        )
    if not low and not narrow:
        yield ok(f"{'any number of' if files == endless else f'{files:,}'} open files")


def nearest(path: Path) -> Path:
    """The folder itself if it is there, else the nearest one above it that is."""
    path = path.absolute()
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def disks() -> Iterator[Finding]:
    """Whether there is room, and permission, where vaescope writes."""
    from vaescope.files import cache_folder

    places = {
        "the cache": (cache_folder(), "set VAESCOPE_CACHE to a folder elsewhere"),
        "the current folder": (Path.cwd(), "go to another folder, or give --out elsewhere"),
        "the folder for temporary files": (Path(tempfile.gettempdir()), "set TMPDIR to a folder elsewhere"),
    }
    for name, (path, remedy) in places.items():
        yield room(f"{name} {path}", path, remedy)


def room(name: str, path: Path, remedy: str) -> Finding:
    """Whether there is room, and permission, in a folder that is there or would be made."""
    folder = nearest(path)
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")
            file.flush()
    except OSError as error:
        return fault(f"{name} cannot be written to: {one_line(error.strerror or str(error))}", remedy)
    free = shutil.disk_usage(folder).free
    if free < LITTLE_DISK:
        return fault(f"{name} has {size(free)} left", f"free some space, or {remedy}")
    if free < ENOUGH_DISK:
        return warning(f"{name} has {size(free)} left", f"free some space, or {remedy}")
    return ok(f"{name} has {size(free)} left")


def surroundings() -> Iterator[Finding]:
    """Whether environment variables and the encoding are such that nothing strange comes of them."""
    wrong = False
    for finding in (*encoding(), *home(), *preloaded(), *slowed()):
        wrong = True
        yield finding
    if not wrong:
        yield ok(f"text is {sys.stdout.encoding or locale.getpreferredencoding(False)}, no variable is in the way")


def encoding() -> Iterator[Finding]:
    """Whether what vaescope prints can be printed."""
    kinds = {stream.encoding or "utf-8" for stream in (sys.stdout, sys.stderr) if stream is not None}
    for kind in sorted(kinds):
        try:
            SIGNS.encode(kind)
        except (UnicodeEncodeError, LookupError):
            remedy = "export PYTHONUTF8=1, or LC_ALL=C.UTF-8, and unset PYTHONIOENCODING"
            yield warning(f"text is printed in {kind}, which has not all signs: some are printed as numbers", remedy)


def home() -> Iterator[Finding]:
    """Whether there is a home folder, in which libraries keep things."""
    try:
        there = Path.home().is_dir()
    except RuntimeError:
        there = False
    if not there:
        yield warning("there is no home folder, where libraries keep what they know", "set HOME to a folder of yours")


def preloaded() -> Iterator[Finding]:
    """Libraries that are loaded before all others."""
    named = [Path(word) for word in os.environ.get("LD_PRELOAD", "").replace(":", " ").split()]
    missing = [str(path) for path in named if path.is_absolute() and not path.exists()]
    if missing:
        yield warning(f"LD_PRELOAD names {', '.join(missing)}, which is not there", "unset LD_PRELOAD")
    elif named:
        yield note(f"LD_PRELOAD loads {', '.join(map(str, named))}", "unset LD_PRELOAD, should something crash")


def slowed() -> Iterator[Finding]:
    """Variables that make everything slow, or pin runs to the same cores."""
    if os.environ.get("CUDA_LAUNCH_BLOCKING", "0") not in ("", "0"):
        yield warning(
            "CUDA_LAUNCH_BLOCKING is set, which is for debugging: a GPU waits after every operation",
            "unset CUDA_LAUNCH_BLOCKING",
        )
    for name in ("KMP_AFFINITY", "GOMP_CPU_AFFINITY"):
        if name in os.environ:
            yield note(f"{name} is set: two runs at once may be pinned to the same cores", f"unset {name}, if they are")


def drawing(answers: Mapping[str, Answer]) -> Iterator[Finding]:
    """Whether pictures can be drawn without a screen, and fonts are not looked for at every start."""
    if "matplotlib" not in answers:
        return
    answer = answers["matplotlib"]
    if answer.error:
        yield fault(f"nothing can be drawn: {answer.error}", "pip install --force-reinstall matplotlib")
        return
    cache = Path(answer.facts["cache"])
    if cache.parent == Path(tempfile.gettempdir()) and cache.name.startswith("matplotlib-"):
        remedy = "set MPLCONFIGDIR to a folder that can be written to"
        yield warning("matplotlib can keep nothing, so fonts are looked for at every start", remedy)
    else:
        yield ok(f"matplotlib {answer.facts['version']} draws without a screen")


def training(answers: Mapping[str, Answer]) -> Iterator[Finding]:
    """Whether a model was trained."""
    if "training" not in answers:
        return
    answer = answers["training"]
    if answer.error:
        remedy = "mend the faults above; if there are none, run `vaescope train --data sample` to see more"
        yield fault(f"a tiny model could not be trained: {answer.error}", remedy)
    else:
        yield ok(f"a tiny model was trained for two steps and drawn in {answer.seconds:.1f} s")
