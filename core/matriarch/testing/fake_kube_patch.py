"""Patches on plain JSON, with structural sharing: what a patch does not touch is the same object before and after."""

from __future__ import annotations

from typing import Any

from matriarch.kube.api import Object
from matriarch.words.errors import Invalid


def copy_json(value: Any) -> Any:
    """A deep copy of JSON data; several times faster than `copy.deepcopy`."""
    if isinstance(value, dict):
        return {key: copy_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [copy_json(item) for item in value]
    return value


def merge_patch(target: Any, patch: Any) -> Any:
    """The result of an RFC 7396 merge patch; neither argument is changed or aliased by later changes of `patch`."""
    if not isinstance(patch, dict):
        return copy_json(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            result[key] = merge_patch(result.get(key), value)
        else:
            result[key] = copy_json(value)
    return result


def json_patch(target: Object, operations: list[Object]) -> Object:
    """The result of an RFC 6902 patch. Raises Invalid, as the API server does, for a missing path or a failed test."""
    result: Any = copy_json(target)
    for operation in operations:
        result = _one_operation(result, operation)
    if not isinstance(result, dict):
        raise Invalid("a JSON patch must leave an object")
    return result


def _one_operation(document: Any, operation: Object) -> Any:
    verb, path = operation.get("op"), _pointer(operation.get("path"))
    match verb:
        case "test":
            if _read(document, path) != operation.get("value"):
                raise Invalid(f"testing path {operation['path']} failed")
            return document
        case "add":
            return _add(document, path, copy_json(operation.get("value")))
        case "replace":
            _read(document, path)
            return _add(_remove(document, path), path, copy_json(operation.get("value")))
        case "remove":
            return _remove(document, path)
        case "copy":
            return _add(document, path, copy_json(_read(document, _pointer(operation.get("from")))))
        case "move":
            source = _pointer(operation.get("from"))
            value = _read(document, source)
            return _add(_remove(document, source), path, value)
        case _:
            raise Invalid(f"unknown operation {verb!r} in a JSON patch")


def _pointer(text: Any) -> list[str]:
    if text == "":
        return []
    if not isinstance(text, str) or not text.startswith("/"):
        raise Invalid(f"not a JSON pointer: {text!r}")
    return [part.replace("~1", "/").replace("~0", "~") for part in text[1:].split("/")]


def _index(container: list[Any], part: str, limit: int) -> int:
    if not part.isdecimal() or int(part) > limit:
        raise Invalid(f"list index {part!r} does not exist")
    return int(part)


def _read(document: Any, path: list[str]) -> Any:
    for part in path:
        if isinstance(document, dict) and part in document:
            document = document[part]
        elif isinstance(document, list):
            document = document[_index(document, part, len(document) - 1)]
        else:
            raise Invalid(f"path /{'/'.join(path)} does not exist")
    return document


def _add(document: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    container, part = _read(document, path[:-1]), path[-1]
    if isinstance(container, dict):
        container[part] = value
    elif isinstance(container, list):
        container.insert(len(container) if part == "-" else _index(container, part, len(container)), value)
    else:
        raise Invalid(f"path /{'/'.join(path)} does not lead into an object or a list")
    return document


def _remove(document: Any, path: list[str]) -> Any:
    if not path:
        return None
    container, part = _read(document, path[:-1]), path[-1]
    _read(document, path)
    if isinstance(container, list):
        del container[_index(container, part, len(container) - 1)]
    else:
        del container[part]
    return document
