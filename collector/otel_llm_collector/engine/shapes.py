"""Messages, documents and tools as OpenTelemetry shapes them, whatever library wrote them.

One lenient reader each; which names it looks under is data (`shapes` of the dialect table). Nothing raises: what cannot
be understood stays as text, or as a part of its own type.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from otel_llm_collector.engine.values import NotConvertibleError, dump, looks_like_json, parse

Spec = dict[str, Any]

_MAX_CONTAINERS = 4
_BASE64 = re.compile(r"[A-Za-z0-9+/_=-]+$")
_MEDIA = ("image", "audio", "video", "document")


def messages(value: Any, role: str, shapes: dict[str, Spec]) -> list[dict[str, Any]]:
    """`value` as a list of `{role, parts}`; `role` is that of a message that does not say it."""
    spec = shapes["messages"]
    found = []
    for one in _inside(value, spec, lambda item: _is_message(item, spec)):
        message = _message(one, role, spec, shapes["parts"])
        if message["parts"]:
            found.append(message)
    return found


def documents(value: Any, _: str, shapes: dict[str, Spec]) -> list[dict[str, Any]]:
    """`value` as a list of `{id, score, content, metadata}`, each where it is known."""
    spec = shapes["documents"]
    found = []
    for one in _inside(value, spec, lambda item: _first(item, spec["content"]) is not None):
        document = _document(one, spec)
        if document:
            found.append(document)
    return found


def tools(value: Any, _: str, shapes: dict[str, Spec]) -> list[dict[str, Any]]:
    """`value` as a list of `{type: function, name, description, parameters}`."""
    spec = shapes["tools"]
    found = []
    for one in value if isinstance(value, list) else [value]:
        tool = _tool(one, spec)
        if tool is not None:
            found.append(tool)
    return found


def look_up(value: Any, path: Sequence[str]) -> Any:
    """What stands at `path` in nested dicts and lists, or None. JSON in a string on the way is read."""
    for step in path:
        if isinstance(value, str) and looks_like_json(value):
            value = parse(value)
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def _first(value: Any, names: list[str]) -> Any:
    """What stands under the first of the dotted `names` that holds something."""
    if not isinstance(value, dict):
        return None
    for name in names:
        found = value.get(name)
        if found is None and "." in name:
            found = _descend(value, name.split("."))
        if found is not None:
            return found
    return None


def _descend(value: Any, path: list[str]) -> Any:
    for step in path:
        if not isinstance(value, dict):
            return None
        value = value.get(step)
    return value


def _text(value: Any, names: list[str]) -> str:
    """The text under the first of `names` that holds a string."""
    for name in names:
        found = _first(value, [name])
        if isinstance(found, str) and found:
            return found
    return ""


def _inside(value: Any, spec: Spec, is_one: Any) -> list[Any]:
    """The items of `value`: itself when it is one, else the list in the first container it has."""
    before: list[Any] = []
    for _ in range(_MAX_CONTAINERS):
        if isinstance(value, list) and value and all(isinstance(one, list) for one in value):
            value = [one for inner in value for one in inner]
        if not isinstance(value, dict) or is_one(value):
            break
        system = _text(value, spec.get("system", []))
        if system:
            before = [{"role": "system", "content": system}]
        inner = _first(value, spec["container"])
        if inner is None:
            break
        value = inner
    items = value if isinstance(value, list) else [value]
    return before + [one for item in items for one in (item if isinstance(item, list) else [item])]


def _is_message(value: dict[str, Any], spec: Spec) -> bool:
    if isinstance(value.get("role"), str):
        return True
    return any(name in value for name in spec["content"]) or any(
        isinstance(value.get(name), dict) for name in spec["unwrap"]
    )


def _unwrap(value: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """`value` with the objects under `names` opened into it."""
    for name in names:
        inner = value.get(name)
        if isinstance(inner, str) and "." in name and looks_like_json(inner):  # an attribute of an event
            with suppress(NotConvertibleError):
                inner = parse(inner)
        if isinstance(inner, dict):
            value = {**{key: one for key, one in value.items() if key != name}, **inner}
    return value


def _message(value: Any, default_role: str, spec: Spec, parts_spec: Spec) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {"role": default_role, "parts": _parts(value, parts_spec)}
    value = _unwrap(value, spec["unwrap"])
    role = _role(value, spec) or default_role
    parts: list[dict[str, Any]] = []
    reasoning = _text(value, spec["reasoning"])
    if reasoning:
        parts.append({"type": "reasoning", "content": reasoning})
    content = _first(value, spec["content"])
    call_id = _text(value, spec["tool_call_id"])
    if role == "tool":
        parts += _tool_result(content, call_id, parts_spec)
    elif content is not None:
        parts += _parts(content, parts_spec)
    parts += _tool_calls(value, parts, spec, parts_spec)
    if role == "user" and parts and all(part["type"] == "tool_call_response" for part in parts):
        role = "tool"  # Anthropic's API has the user send what tools returned
    if not parts and not any(name in value for name in (*spec["content"], *spec["role"], *spec["tool_calls"])):
        parts = [{"type": "text", "content": dump(value)}]  # no message anybody knows: kept as it is
    message: dict[str, Any] = {"role": role, "parts": parts}
    name, finish_reason = _text(value, spec["name"]), _text(value, spec["finish_reason"])
    if name:
        message["name"] = name
    if finish_reason:
        message["finish_reason"] = finish_reason
    return message


def _role(value: dict[str, Any], spec: Spec) -> str:
    for name in spec["role"]:
        raw = value.get(name)
        if isinstance(raw, str):
            role: str = spec["roles"].get(raw.lower(), raw)
            if role:
                return role
    return ""


def _tool_result(content: Any, call_id: str, spec: Spec) -> list[dict[str, Any]]:
    parts = _parts(content, spec) if isinstance(content, list) else []
    if any(part["type"] == "tool_call_response" for part in parts):
        return parts
    if parts and all(part["type"] == "text" for part in parts):
        content = "".join(part["content"] for part in parts)
    return [_with({"type": "tool_call_response", "response": "" if content is None else content}, id=call_id)]


def _tool_calls(
    value: dict[str, Any], parts: list[dict[str, Any]], spec: Spec, parts_spec: Spec
) -> list[dict[str, Any]]:
    """The calls that stand beside the content, without those that stood in it too."""
    calls = _first(value, spec["tool_calls"])
    if isinstance(calls, str):
        with suppress(NotConvertibleError):
            calls = parse(calls)
    known = [part["id"] for part in parts if part["type"] == "tool_call" and "id" in part]
    found = []
    for one in calls if isinstance(calls, list) else [calls]:
        if isinstance(one, dict):
            call = _tool_call(_unwrap(one, parts_spec["unwrap"]), parts_spec)
            if call is not None and call.get("id") not in known:
                found.append(call)
    return found


def _tool_call(value: dict[str, Any], spec: Spec) -> dict[str, Any] | None:
    name = _text(value, spec["tool_name"])
    if not name:
        return None
    arguments = _first(value, spec["arguments"])
    if isinstance(arguments, str) and looks_like_json(arguments):
        with suppress(NotConvertibleError):  # a stream that broke off: the text is kept
            arguments = parse(arguments)
    return _with({"type": "tool_call"}, id=_text(value, spec["id"]), name=name, arguments=arguments)


def _parts(content: Any, spec: Spec) -> list[dict[str, Any]]:
    if content is None or content in ("", []):
        return []
    if isinstance(content, str):
        content = _parts_in_text(content, spec)
    items = content if isinstance(content, list) else [content]
    return [part for one in items for part in _part(one, spec)]


def _parts_in_text(content: str, spec: Spec) -> Any:
    """The parts that a library wrote into one string as JSON, or the string."""
    if not content.startswith('[{"'):
        return content
    with suppress(NotConvertibleError):
        parts = parse(content)
        if all(isinstance(part, dict) and _text(part, spec["type"]).lower() in spec["types"] for part in parts):
            return parts
    return content


def _part(value: Any, spec: Spec) -> list[dict[str, Any]]:
    if isinstance(value, str):
        return [{"type": "text", "content": value}] if value else []
    if not isinstance(value, dict):
        return [] if value is None else [{"type": "text", "content": dump(value)}]
    value = _unwrap(value, spec["unwrap"])
    raw = _text(value, spec["type"])
    kind = spec["types"].get(raw.lower(), raw) if raw else "text" if _text(value, spec["text"]) else "unknown"
    part: dict[str, Any] | None = None
    if kind in {"text", "reasoning"}:
        part = {"type": kind, "content": _text(value, spec["text"])}
    elif kind == "tool_call":
        part = _tool_call(value, spec)
    elif kind == "tool_call_response":
        part = _with({"type": kind, "response": _first(value, spec["response"])}, id=_text(value, spec["id"]))
    elif kind in _MEDIA or kind in {"blob", "uri"}:
        part = _media(kind, value, spec)
    if part is None:
        return [{**value, "type": kind}]
    return [] if part.get("content") == "" else [part]


def _media(kind: str, value: dict[str, Any], spec: Spec) -> dict[str, Any] | None:
    """A file by id, a link, or bytes in base64."""
    mime_type = _text(value, spec["mime_type"])
    modality = _text(value, spec["modality"]) or _modality(kind, mime_type)
    file_id, url = _text(value, spec["file_id"]), _text(value, spec["url"])
    if file_id:
        return _with({"type": "file", "modality": modality}, mime_type=mime_type, file_id=file_id)
    if url.startswith("data:"):
        head, _, data = url.removeprefix("data:").partition(",")
        mime_type = head.partition(";")[0] or mime_type
        return _with({"type": "blob", "modality": modality}, mime_type=mime_type, content=data)
    if "://" in url[:32]:
        return _with({"type": "uri", "modality": modality}, mime_type=mime_type, uri=url)
    data = _text(value, spec["base64"]) or url
    if data and not _BASE64.match(data[:64]):  # a reference into somebody's media store
        return _with({"type": "file", "modality": modality}, mime_type=mime_type, file_id=data)
    return _with({"type": "blob", "modality": modality}, mime_type=mime_type, content=data) if data else None


def _modality(kind: str, mime_type: str) -> str:
    """What the type of the bytes says, else what the part says of itself."""
    main = mime_type.partition("/")[0]
    if main in _MEDIA:
        return main
    return kind if kind in _MEDIA else "document"


def _document(value: Any, spec: Spec) -> dict[str, Any]:
    if isinstance(value, str):
        return {"content": value} if value else {}
    if not isinstance(value, dict):
        return {}
    value = _unwrap(value, spec["unwrap"])
    identity, score = _first(value, spec["id"]), _number(_first(value, spec["score"]))
    content, metadata = _text(value, spec["content"]), _first(value, spec["metadata"])
    if isinstance(metadata, str) and looks_like_json(metadata):
        with suppress(NotConvertibleError):  # kept as text
            metadata = parse(metadata)
    document = {} if identity is None or isinstance(identity, list | dict) else {"id": str(identity)}
    return _with(document, score=score, content=content, metadata=metadata)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 1e300 else None  # noqa: PLR2004 - an int beyond what a double holds


def _tool(value: Any, spec: Spec) -> dict[str, Any] | None:
    if isinstance(value, str):
        try:
            value = parse(value)
        except NotConvertibleError:
            return None
    if not isinstance(value, dict):
        return None
    value = _unwrap(value, spec["unwrap"])
    for name in spec["json"]:
        if isinstance(value.get(name), str | dict):
            inner = _tool(value[name], spec)
            if inner is not None:
                return inner
    name = _text(value, spec["name"])
    if not name:
        return None
    parameters = _first(value, spec["parameters"])
    if isinstance(parameters, str) and looks_like_json(parameters):
        with suppress(NotConvertibleError):  # kept as text
            parameters = parse(parameters)
    return _with(
        {"type": "function", "name": name}, description=_text(value, spec["description"]), parameters=parameters
    )


def _with(base: dict[str, Any], **more: Any) -> dict[str, Any]:
    """`base` and those of `more` that hold something."""
    return {**base, **{key: value for key, value in more.items() if value not in (None, "")}}
