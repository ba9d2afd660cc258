"""Certificates for development: what they say, who may read their keys, and what is not made."""

import stat
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway.runtime.clock import SystemClock
from gateway.runtime.entropy import SystemEntropy
from gateway.server.certificates import peer_certificate
from gateway.server.cli.dev_ca import dev_ca_command
from gateway.server.dev_ca import LEAF_DAYS, DevCa, DevCaRefused
from gateway.server.tls import Tls, TlsInvalid

URI = "urn:ein:caller:shop"


def ca(folder: Path) -> DevCa:
    return DevCa(folder, SystemClock(), SystemEntropy())


def read(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_keys_are_for_their_owner_alone_and_belong_to_their_certificates(tmp_path: Path) -> None:
    made = ca(tmp_path)
    for issued in (made.server(["localhost"]), made.client("shop", URI)):
        assert stat.S_IMODE(issued.key.stat().st_mode) == 0o600
        private = load_pem_private_key(issued.key.read_bytes(), None)
        assert private.public_key() == read(issued.certificate).public_key()
    assert stat.S_IMODE((tmp_path / "ca.key").stat().st_mode) == 0o600


def test_a_certificate_says_who_it_is_for_and_is_signed_by_the_authority(tmp_path: Path) -> None:
    made = ca(tmp_path)
    client, server = (
        read(made.client("shop", URI).certificate),
        read(made.server(["a.test", "127.0.0.1"]).certificate),
    )
    for one in (client, server):
        one.verify_directly_issued_by(read(made.certificate))
        assert (one.not_valid_after_utc - one.not_valid_before_utc).days == LEAF_DAYS
        assert not one.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert peer_certificate(client, b"der").uris == (URI,)
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["a.test"]
    uses = [one.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value for one in (client, server)]
    assert uses[0] != uses[1], "a client's certificate is none of a server's"


def test_the_authority_is_made_once(tmp_path: Path) -> None:
    first = ca(tmp_path).certificate.read_bytes()
    assert ca(tmp_path).certificate.read_bytes() == first
    (tmp_path / "ca.key").chmod(0o644)
    with pytest.raises(DevCaRefused, match="chmod 600"):
        ca(tmp_path)


@pytest.mark.parametrize(("name", "uri"), [("../x", URI), ("ca", URI), ("x", "no uri"), ("x", "nocolon")])
def test_a_name_that_leaves_the_folder_or_says_nobody_is_refused(tmp_path: Path, name: str, uri: str) -> None:
    with pytest.raises(DevCaRefused):
        ca(tmp_path).client(name, uri)


def test_a_port_takes_no_key_of_another_certificate_and_none_that_is_open_to_others(tmp_path: Path) -> None:
    made = ca(tmp_path)
    server, client = made.server(["localhost"]), made.client("shop", URI)
    good = Tls(server.certificate, server.key, made.certificate)
    assert good.check() is good
    with pytest.raises(TlsInvalid, match="not the key"):
        Tls(server.certificate, client.key, None).check()
    with pytest.raises(TlsInvalid, match="client_ca"):
        Tls(server.certificate, server.key, server.key).check()
    with pytest.raises(TlsInvalid, match=r"tls\.certificate: the file cannot be read"):
        Tls(tmp_path / "none.pem", server.key, None).check()
    server.key.chmod(0o640)
    with pytest.raises(TlsInvalid, match="chmod 600"):
        good.check()


def test_the_commands_print_settings_and_files(tmp_path: Path) -> None:
    run = CliRunner()
    folder = str(tmp_path / "ca")
    served = run.invoke(dev_ca_command, ["server", folder], catch_exceptions=False)
    assert served.output.startswith("tls:\n  certificate: ")
    called = run.invoke(dev_ca_command, ["client", folder, "shop", "--uri", URI], catch_exceptions=False)
    assert called.output == f"{folder}/shop.pem {folder}/shop.key\n"
