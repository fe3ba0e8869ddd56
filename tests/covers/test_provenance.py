"""Every file says what it is; a signed one says who signed it; what was tampered with is no cover of ours."""

import datetime
import hashlib
import io
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from icg_tasks.config.settings import CoverSettings
from icg_tasks.contracts import partitions as keys
from icg_tasks.contracts.errors import DataCorrupt, DataMissing, SettingsError
from icg_tasks.covers import provenance, publish
from icg_tasks.covers.checks import blob_fault, encode_webp
from icg_tasks.covers.command import covers_command
from icg_tasks.covers.finish import Finisher
from icg_tasks.covers.provenance import AI_GENERATED, Signer, digital_source_type, read_signature
from icg_tasks.covers.read import CoverReader
from icg_tasks.covers.riff import XMP, chunk, chunks, without_signature
from icg_tasks.lake.partitions import read_partition
from tests.covers.conftest import DAY, NEXT, House, picture
from tests.covers.test_read import publish_day

needs_c2pa = pytest.mark.skipif(provenance._library() is None, reason="c2pa-python is not installed")


@pytest.fixture(scope="module")
def signing(tmp_path_factory: pytest.TempPathFactory) -> CoverSettings:
    """A certificate of a small authority of our own, as C2PA asks for it, and its key."""
    folder = tmp_path_factory.mktemp("keys")
    authority, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = _certificate("Root", "Root", authority, authority, authority=True)
    leaf = _certificate("Covers", "Root", own, authority, authority=False)
    pem = serialization.Encoding.PEM
    (folder / "chain.pem").write_bytes(leaf.public_bytes(pem) + root.public_bytes(pem))
    private = own.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(private)
    return CoverSettings(c2pa_certificate=str(folder / "chain.pem"), c2pa_key=str(folder / "key.pem"))


def _certificate(name: str, issuer: str, key, signed_with, *, authority: bool) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(_name(name)).issuer_name(_name(issuer)).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
    builder = builder.not_valid_after(now + datetime.timedelta(days=30))
    builder = builder.add_extension(x509.BasicConstraints(authority, None), True)
    usage = [not authority, *[False] * 4, authority, authority, False, False]
    builder = builder.add_extension(x509.KeyUsage(*usage), True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
    if not authority:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
        issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(signed_with.public_key())
        builder = builder.add_extension(issuer_key, False)
    return builder.sign(signed_with, hashes.SHA256())


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Tests")])


def test_every_cover_says_in_xmp_that_it_is_ai_generated() -> None:
    data = encode_webp(picture(1), 90)
    assert digital_source_type(data) == AI_GENERATED
    with Image.open(io.BytesIO(data)) as image:
        packet = ElementTree.fromstring(image.info["xmp"])
    said = packet.find(".//{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description")
    assert said.get("{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType") == AI_GENERATED
    assert AI_GENERATED.endswith("digitalsourcetype/trainedAlgorithmicMedia")
    assert data == encode_webp(picture(1), 90), "the packet holds no time and no id of its own"


def test_xmp_costs_no_pixel() -> None:
    plain = io.BytesIO()
    Image.fromarray(picture(1)).save(plain, format="WEBP", quality=90, method=4)
    ours, theirs = (Image.open(io.BytesIO(data)).tobytes() for data in (encode_webp(picture(1), 90), plain.getvalue()))
    assert ours == theirs


def test_a_file_that_does_not_say_so_is_not_published() -> None:
    sink = io.BytesIO()
    Image.fromarray(picture(1)).save(sink, format="WEBP", quality=90)
    data = sink.getvalue()
    row = {"cover_id": hashlib.sha256(data).hexdigest(), "width": 32, "height": 32}
    assert digital_source_type(data) is None
    assert "AI-generated" in blob_fault(data, row)


@settings(max_examples=60, deadline=None, database=None)
@given(data=st.binary(max_size=200), body=st.binary(max_size=60))
def test_any_bytes_are_cut_into_chunks_without_harm(data: bytes, body: bytes) -> None:
    webp = b"RIFF" + (4 + len(body)).to_bytes(4, "little") + b"WEBP" + body
    for one in (data, webp, b"RIFF\xff\xff\xff\xffWEBP" + data):
        ends = [end for _, _, end in chunks(one)]
        assert all(end <= len(one) for end in ends)
        stripped = without_signature(one)
        assert without_signature(stripped) == stripped
        assert chunk(one, XMP) is None or len(chunk(one, XMP)) <= len(one)


def test_a_signature_chunk_comes_off_and_the_name_holds() -> None:
    data = encode_webp(picture(1), 90)
    body = data[12:] + b"C2PA" + (5).to_bytes(4, "little") + b"12345\0"
    signed = b"RIFF" + (4 + len(body)).to_bytes(4, "little") + b"WEBP" + body
    assert without_signature(signed) == data
    assert blob_fault(signed, {"cover_id": hashlib.sha256(data).hexdigest(), "width": 32, "height": 32}) is None


def test_a_key_that_cannot_be_used_is_told(signing: CoverSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Signer.configured(CoverSettings()) is None
    for wrong in ({"c2pa_key": ""}, {"c2pa_certificate": str(tmp_path / "none.pem")}, {"c2pa_algorithm": "rot13"}):
        changed = CoverSettings(**{"c2pa_certificate": signing.c2pa_certificate, "c2pa_key": signing.c2pa_key} | wrong)
        with pytest.raises(SettingsError, match="c2pa"):
            Signer.configured(changed)
    monkeypatch.setattr(provenance, "_library", lambda: None)
    with pytest.raises(SettingsError, match="pip install c2pa-python"):
        Signer.configured(signing)


@needs_c2pa
def test_signed_once_named_by_the_unsigned_bytes(house: House, signing: CoverSettings) -> None:
    finisher = Finisher(house.store, 90, signer=Signer.configured(signing))
    stored = finisher.stored(finisher.finish(picture(1), "The Lake"))
    data = house.store.get(stored.blob)
    assert stored.cover_id == hashlib.sha256(encode_webp(picture(1), 90)).hexdigest()
    assert blob_fault(data, vars(stored)) is None
    said = read_signature(data)
    assert (said.present, said.state, said.issuer, said.source_type) == (True, "Valid", "Tests", AI_GENERATED)
    assert len(data) - len(without_signature(data)) < 10_000
    finisher.stored(finisher.finish(picture(1), "The Lake"))
    assert house.store.get(stored.blob) == data, "a signature does not repeat; it is put on once"
    broken = bytearray(data)
    broken[200] ^= 1
    assert read_signature(bytes(broken)).state == "Invalid"


@needs_c2pa
def test_covers_kept_from_before_there_was_a_key_are_signed_when_a_day_keeps_them(house: House, signing: CoverSettings) -> None:
    publish_day(house, DAY)
    blobs = list(house.store.list(f"{keys.COVER_BLOBS}/"))
    unsigned = {key: house.store.get(key) for key in blobs}
    assert not any(read_signature(data).present for data in unsigned.values())
    house.set(c2pa_certificate=signing.c2pa_certificate, c2pa_key=signing.c2pa_key)
    publish_day(house, NEXT)
    signed = {key: house.store.get(key) for key in blobs}
    assert {read_signature(data).state for data in signed.values()} == {"Valid"}
    assert {key: without_signature(data) for key, data in signed.items()} == unsigned
    reader = CoverReader(house.store)
    cover = reader.cover("ann", "i0")
    assert (cover.day, cover.made_on) == (NEXT, DAY.isoformat())
    assert reader.image(cover) == signed[cover.blob]
    publish.run(house.context("publish-covers", NEXT))
    assert {key: house.store.get(key) for key in blobs} == signed, "once is enough"


def test_a_signature_that_nobody_can_read_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    body = encode_webp(picture(1), 90)[12:] + b"C2PA" + (4).to_bytes(4, "little") + b"junk"
    data = b"RIFF" + (4 + len(body)).to_bytes(4, "little") + b"WEBP" + body
    if provenance._library() is not None:
        with pytest.raises(DataCorrupt, match="cannot be read"):
            read_signature(data)
    monkeypatch.setattr(provenance, "_library", lambda: None)
    assert read_signature(data).state is None
    assert "pip install" in read_signature(data).problems[0]


def test_verify_knows_ours_from_others(house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publish_day(house, DAY)
    reader = CoverReader(house.store)
    data = reader.image(reader.cover("ann", "i0"))
    ours, edited, other = (tmp_path / name for name in ("ours.webp", "edited.webp", "other.webp"))
    ours.write_bytes(data)
    with Image.open(io.BytesIO(data)) as image:
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(edited, format="WEBP")
    other.write_bytes(encode_webp(picture(99), 90))
    store = ["--set", f"store={house.store.uri}"]

    def verify(path: Path) -> tuple[int, dict]:
        code = covers_command(["verify", str(path), *store])
        return code, json.loads(capsys.readouterr().out)

    code, said = verify(ours)
    assert (code, said["genuine"], said["published"]) == (0, True, DAY.isoformat())
    rows = read_partition(house.store, keys.COVER_MANIFESTS, DAY).to_pylist()
    row = next(row for row in rows if row["cover_id"] == said["cover_id"])
    assert said["manifest_rows"] == [row]
    assert {"seed", "adapter_version", "denoiser_version", "preference_version", "generator"} <= row.keys()
    code, said = verify(edited)
    assert (code, said["genuine"], said["says_ai_generated"], said["manifest_rows"]) == (3, False, False, [])
    code, said = verify(other)
    assert (code, said["says_ai_generated"], said["published"]) == (3, True, None)


@pytest.mark.parametrize("content", [b"", b"hello", b"RIFF\x04\0\0\0WEBP", b"\x89PNG\r\n\x1a\n", None])
def test_verify_of_what_is_no_image_is_refused(house: House, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "x.webp"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataMissing if content is None else DataCorrupt, match=r"x\.webp"):
        covers_command(["verify", str(path), "--set", f"store={house.store.uri}"])
