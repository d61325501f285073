from __future__ import annotations

from curation.formats.base import Rejected
from curation.formats.document import Document, hash_document
from tests.formats.reading_aids import as_lines, only_document, pack, parse_bytes, parse_value, plain_document


def own(*actions: str) -> Document:
    return Document.model_validate(plain_document(*actions))


def test_documents_come_back_as_they_were_written_but_for_their_place() -> None:
    documents = [own("look"), own("look", "take")]
    data = pack(as_lines(*(document.model_dump(mode="json") for document in documents)))
    results = parse_bytes("whetstone", data, file_sha256="a" * 64)
    assert [hash_document(result.document) for result in results] == [  # type: ignore[union-attr]  # a Rejected has none
        hash_document(document) for document in documents
    ]
    last = results[1].document  # type: ignore[union-attr]  # checked above
    assert (last.source.format, last.source.record_index, last.source.file_sha256) == ("whetstone", 1, "a" * 64)


def test_a_document_read_from_another_format_keeps_saying_so() -> None:
    plain = plain_document("look") | {"source": {"format": "atif", "version": "ATIF-v1.4"}}
    assert only_document(parse_value("whetstone", plain)).source.version == "ATIF-v1.4"


def test_a_bad_document_is_rejected_with_the_place_and_the_rest_is_read() -> None:
    bad = plain_document("look")
    bad["steps"][1]["source"] = "nobody"
    results = parse_bytes("whetstone", as_lines(bad, plain_document("look")))
    assert isinstance(results[0], Rejected)
    assert results[0].reason.startswith("steps.1.source: Input should be 'system', 'user' or 'agent'")
    assert not isinstance(results[1], Rejected)
