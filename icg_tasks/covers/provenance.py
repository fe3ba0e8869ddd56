"""What a cover's file says of its origin: IPTC's DigitalSourceType in XMP always, a C2PA manifest where a key is configured.

The XMP packet is one constant text, so equal pixels give equal bytes. A C2PA signature need not repeat: it is put on once,
when a blob is first written, and a cover is named by the hash of its unsigned bytes (riff.py). Knows no store.
"""

import importlib
import io
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from icg_tasks.config.settings import CoverSettings
from icg_tasks.contracts.errors import DataCorrupt, IcgError, SettingsError
from icg_tasks.covers.riff import SIGNATURE, XMP, chunk, without_signature

AI_GENERATED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""IPTC's word for "created by a model that was trained on sampled content"."""
CREATOR = "ICG Covers"
ALGORITHMS = ("es256", "es384", "es512", "ps256", "ps384", "ps512", "ed25519")
XMP_PACKET = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
    ' xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
    f' Iptc4xmpExt:DigitalSourceType="{AI_GENERATED}" xmp:CreatorTool="{CREATOR}"/>'
    '</rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
).encode()
_SOURCE_TYPE = re.compile(rb"DigitalSourceType(?:=[\"']|>)\s*([^\"'<\s]{1,200})")
_MAX_PEM_BYTES = 1_000_000
_PLAIN = {"builder": {"thumbnail": {"enabled": False}}}  # a thumbnail of 1.3 MB in each cover otherwise
_INSTALL = "pip install c2pa-python (it was tried with 0.38.1)"


def digital_source_type(data: bytes) -> str | None:
    """What the XMP of a WebP file says its source is (IPTC's URI), or None where it says nothing."""
    packet = chunk(data, XMP)
    found = _SOURCE_TYPE.search(packet) if packet else None
    return found.group(1).decode("utf-8", "replace") if found else None


@dataclass(frozen=True, kw_only=True)
class Signature:
    """What a file's C2PA manifest says. ``state`` is c2pa's own word: Valid, Trusted or Invalid; None: nobody could look."""

    present: bool
    state: str | None = None
    issuer: str | None = None
    source_type: str | None = None
    problems: tuple[str, ...] = ()


class Signer:
    """Signs WebP files with the configured key. One per process; not shared between threads."""

    def __init__(self, settings: CoverSettings) -> None:
        """Raises SettingsError where the settings are incomplete, unreadable or c2pa-python is not installed."""
        if settings.c2pa_algorithm not in ALGORITHMS:
            raise SettingsError(
                f"covers.c2pa_algorithm is {settings.c2pa_algorithm!r}; expected one of {', '.join(ALGORITHMS)}"
            )
        certificate = _pem(settings.c2pa_certificate, "covers.c2pa_certificate")
        key = _pem(settings.c2pa_key, "covers.c2pa_key")
        c2pa = _library()
        if c2pa is None:
            raise SettingsError(f"covers.c2pa_certificate is set, but covers cannot be signed here: {_INSTALL}")
        self._c2pa = c2pa
        self._info = c2pa.C2paSignerInfo(
            alg=settings.c2pa_algorithm.encode(),
            sign_cert=certificate,
            private_key=key,
            ta_url=settings.c2pa_timestamp_url.encode() or None,
        )

    @classmethod
    def configured(cls, settings: CoverSettings) -> "Signer | None":
        """The signer that settings ask for; None where they ask for none. Raises SettingsError."""
        return cls(settings) if settings.c2pa_certificate or settings.c2pa_key else None

    def sign(self, unsigned: bytes, title: str) -> bytes:
        """The same image with a C2PA manifest; raises IcgError where taking it off again would not give the unsigned bytes."""
        manifest = {
            "claim_generator_info": [{"name": CREATOR}],
            "title": title,
            "format": "image/webp",
            "assertions": [
                {
                    "label": "c2pa.actions",
                    "data": {"actions": [{"action": "c2pa.created", "digitalSourceType": AI_GENERATED}]},
                }
            ],
        }
        sink = io.BytesIO()
        try:
            with (
                self._c2pa.Context.from_dict(_PLAIN) as context,
                self._c2pa.Signer.from_info(self._info) as signer,
                self._c2pa.Builder(manifest, context=context) as builder,
            ):
                builder.sign(signer, "image/webp", io.BytesIO(unsigned), sink)
        except self._c2pa.C2paError as error:
            raise IcgError(f"a cover cannot be signed with covers.c2pa_certificate: {error}") from error
        signed = sink.getvalue()
        if without_signature(signed) != unsigned:
            raise IcgError(f"c2pa-python changed more of a cover than its signature: it cannot be named by content; {_INSTALL}")
        return signed


def read_signature(data: bytes) -> Signature:
    """What a WebP file's C2PA manifest says; raises DataCorrupt for a manifest that cannot be read at all."""
    if chunk(data, SIGNATURE) is None:
        return Signature(present=False)
    c2pa = _library()
    if c2pa is None:
        return Signature(present=True, problems=(f"nobody looked: {_INSTALL}",))
    try:
        with c2pa.Reader("image/webp", io.BytesIO(data)) as reader:
            said: dict[str, Any] = json.loads(reader.json())
    except c2pa.C2paError as error:
        raise DataCorrupt(f"its C2PA manifest cannot be read: {error}") from error
    active = said.get("manifests", {}).get(said.get("active_manifest"), {})
    return Signature(
        present=True,
        state=said.get("validation_state"),
        issuer=(active.get("signature_info") or {}).get("issuer"),
        source_type=_created_as(active),
        problems=tuple(sorted({str(one.get("code")) for one in said.get("validation_status") or []})),
    )


def _created_as(manifest: dict[str, Any]) -> str | None:
    for assertion in manifest.get("assertions", []):
        if str(assertion.get("label", "")).startswith("c2pa.actions"):
            for action in assertion.get("data", {}).get("actions", []):
                if "digitalSourceType" in action:
                    return str(action["digitalSourceType"])
    return None


def _library() -> Any:
    """c2pa-python, or None where it is not installed."""
    try:
        return importlib.import_module("c2pa")
    except ImportError:
        return None


def _pem(path: str, setting: str) -> bytes:
    file = Path(path)
    if not path or not file.is_file():
        raise SettingsError(
            f"{setting} is {path!r}; expected a PEM file (covers.c2pa_certificate and covers.c2pa_key go together)"
        )
    if file.stat().st_size > _MAX_PEM_BYTES:
        raise SettingsError(f"{setting} {path!r} has more than {_MAX_PEM_BYTES} bytes; expected a PEM file")
    return file.read_bytes()
