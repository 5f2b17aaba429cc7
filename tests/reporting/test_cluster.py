"""A suite on a Dask cluster of other processes, over TCP with TLS, in folders of their own."""

from __future__ import annotations

import datetime
import ipaddress
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from backpain_analysis import load_evidence
from backpain_analysis.reporting import ReportingError, cluster, run_suite
from backpain_analysis.reporting.cluster import Scheduler, check_same
from backpain_analysis.reporting.facts import gather_facts
from backpain_analysis.reporting.run import plan
from tests.reporting.little import files_of, make_suite, write_notebook

LOOK = """
import os, pathlib
from IPython.display import Markdown
import backpain_analysis as bp
found = bp.load_evidence(evidence)
Markdown(f"> {len(found.trials)} {found.name}")
"""
PARAMETERS = 'evidence: str = ""  # tables\nnumber: int = 0  # counts'
NAMES = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]


def certify(folder, name: str) -> Scheduler:
    """Write a key and a certificate that only it has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    title = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(title, title, key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(NAMES), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = folder / f"{name}.pem", folder / f"{name}.key"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return Scheduler("", str(files[0]), str(files[0]), str(files[1]))


@contextmanager
def scheduler_of(tls: Scheduler):
    """Start a scheduler without workers in this process; give its address and files."""
    from dask.distributed import LocalCluster, Security

    files = {"tls_ca_file": tls.ca}
    for role in ("scheduler", "worker", "client"):
        files |= {f"tls_{role}_cert": tls.cert, f"tls_{role}_key": tls.key}
    with LocalCluster(
        n_workers=0,
        host="127.0.0.1",
        protocol="tls://",
        dashboard_address="127.0.0.1:0",
        security=Security(require_encryption=True, **files),
    ) as running:
        yield replace(tls, address=running.scheduler_address)


@contextmanager
def worker_of(scheduler: Scheduler, folder):
    """Start a worker in a folder of its own."""
    folder.mkdir()
    tls = ["--tls-ca-file", scheduler.ca, "--tls-cert", scheduler.cert, "--tls-key", scheduler.key]
    words = ["--no-nanny", "--nthreads", "1", "--no-dashboard", "--local-directory", str(folder)]
    command = [sys.executable, "-m", "distributed.cli.dask_worker", scheduler.address]
    with subprocess.Popen(
        [*command, *tls, *words], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        yield process
        process.kill()


@pytest.fixture(scope="module")
def remote(tmp_path_factory):
    """A scheduler's address and files, and its two workers, each in a folder of its own."""
    home = tmp_path_factory.mktemp("cluster")
    tls = certify(home, "ours")
    with ExitStack() as running:
        scheduler = running.enter_context(scheduler_of(tls))
        workers = [
            running.enter_context(worker_of(scheduler, home / name)) for name in ("one", "two")
        ]
        yield scheduler, workers


@pytest.fixture(scope="module")
def made(remote, tmp_path_factory):
    """A suite on own evidence, its site from this machine, and its site from the cluster.

    When the first run begins, the notebook and the evidence are gone: what it needs, it was sent.
    When the first report is done, one of its workers is killed.
    """
    scheduler, workers = remote
    folder = tmp_path_factory.mktemp("suite")
    (folder / "mine").mkdir()
    evidence = load_evidence().filter(trial_id=["sherman2011", "tankha2024"])
    for name in ("trials", "arms", "outcomes", "contrasts"):
        getattr(evidence, name).astype(object).convert_dtypes().to_parquet(
            folder / "mine" / f"{name}.parquet"
        )
    write_notebook(folder, "looks", LOOK, parameters=PARAMETERS)
    grid = {"notebook": "looks", "grid": {"number": [1, 2, 3, 4]}}
    suite = make_suite(folder, grid, evidence="mine")
    here, there, told = folder / "here", folder / "there", []
    run_suite(suite, here)

    def listen(event):
        told.append(event)
        if event.kind == "cell" and (folder / "mine").exists():
            (folder / "mine").rename(folder / "away")
            (folder / "looks.ipynb").unlink()
        elif event.kind == "done":
            workers[0].kill()

    outcomes = run_suite(suite, there, scheduler=scheduler, listen=listen)
    return here, there, outcomes, told


def test_a_cluster_that_loses_a_worker_makes_the_same_site(made):
    here, there, outcomes, _ = made
    assert [outcome.answer for outcome in outcomes] == ["2 mine"] * 4
    assert files_of(here) == files_of(there)


def test_a_cluster_tells_of_its_cells(made):
    assert {"begin", "cell", "done", "end"} == {event.kind for event in made[3]}


def test_a_wrong_certificate_is_refused(remote, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "PATIENCE", "2s")
    ours, _ = remote
    other = replace(certify(tmp_path, "theirs"), address=ours.address)
    write_notebook(tmp_path, "lives", "1")
    suite = make_suite(tmp_path, {"notebook": "lives"})
    for scheduler in (other, replace(ours, cert=other.cert, key=other.key)):
        with pytest.raises(ReportingError, match="cannot be used") as raised:
            run_suite(suite, tmp_path / "site", scheduler=scheduler)
        assert "0 of 1 reports are finished" in str(raised.value)


def test_a_scheduler_that_is_not_there_is_one_message(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "PATIENCE", "1s")
    write_notebook(tmp_path, "lives", "1")
    suite = make_suite(tmp_path, {"notebook": "lives"})
    with pytest.raises(ReportingError, match=r"tcp://127\.0\.0\.1:9 cannot be used"):
        run_suite(suite, tmp_path / "site", scheduler=Scheduler("tcp://127.0.0.1:9"))


def test_a_cluster_without_workers_is_one_message(remote, monkeypatch):
    monkeypatch.setattr(cluster, "WORKERS_COME", 1)
    ours, _ = remote
    with scheduler_of(ours) as lonely:
        with pytest.raises(ReportingError, match=r"^tls://\S+ has had no worker for 1 s"):
            with cluster.connect(lonely):
                pass


@pytest.mark.parametrize(
    ("address", "is_open"),
    [
        ("tcp://node1:8786", True),
        ("tcp://10.0.0.3:8786", True),
        ("node1:8786", True),
        ("tls://node1:8786", False),
        ("tcp://127.0.0.1:8786", False),
        ("tcp://localhost:8786", False),
        ("tcp://127.0.0.1.evil.example:8786", True),
    ],
)
def test_who_needs_no_certificate_is_told_of(address, is_open):
    assert cluster.is_open_to_others(Scheduler(address)) is is_open


def test_a_worker_with_other_versions_says_which(tmp_path):
    write_notebook(tmp_path, "lives", "1")
    (job,) = plan(make_suite(tmp_path, {"notebook": "lives"}))
    check_same(job)
    facts = gather_facts()
    older = replace(facts, packages={**facts.packages, "nh3": "0.1"})
    with pytest.raises(ReportingError, match=r"has nh3 [\d.]+, not 0\.1"):
        check_same(replace(job, facts=older))
    with pytest.raises(ReportingError, match="another state"):
        check_same(replace(job, facts=replace(facts, library_hash="x")))


def test_without_dask_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "dask.distributed", None)
    with (
        pytest.raises(ReportingError, match=r"^--scheduler needs Dask; .*\[cluster\]'$"),
        cluster.connect(Scheduler("tcp://127.0.0.1:1")),
    ):
        pass


def test_runs_on_this_machine_need_no_dask():
    code = (
        "import sys; sys.modules['dask'] = sys.modules['distributed'] = None;"
        "from backpain_analysis.reporting import run"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
