"""Pictures made, screens looked at, programs run."""

from __future__ import annotations

from typing import Literal

from apps.conversations.item_types.shared import Caller, Count, SafetyCheck, Status, Strict, Tagged


class _Moderation(Strict):
    categories: list[str]
    moderation_stage: Literal["input", "output", "unknown"]


class _ImageError(Strict):
    message: str
    type: str
    code: str | None = None
    param: str | None = None
    moderation_details: _Moderation | None = None


class _SvgUsage(Strict):
    model: str
    input_tokens: Count
    output_tokens: Count
    reasoning_tokens: Count
    total_tokens: Count


class ImageGenerationCall(Strict):
    result: str | None = None
    status: Literal["in_progress", "completed", "generating", "failed"] | None = None
    action: Literal["generate", "edit", "auto"] | None = None
    background: Literal["transparent", "opaque", "auto"] | None = None
    error: _ImageError | None = None
    output_format: Literal["png", "webp", "jpeg", "gif", "svg"] | None = None
    quality: Literal["low", "medium", "high", "xhigh", "max", "auto"] | None = None
    revised_prompt: str | None = None
    size: str | None = None
    svg_usage: _SvgUsage | None = None


class _Point(Strict):
    x: Count
    y: Count


class _Click(Tagged, tag="click"):
    button: Literal["left", "right", "wheel", "back", "forward"]
    x: Count
    y: Count
    keys: list[str] | None = None


class _DoubleClick(Tagged, tag="double_click"):
    x: Count
    y: Count
    keys: list[str] | None = None


class _Drag(Tagged, tag="drag"):
    path: list[_Point]
    keys: list[str] | None = None


class _Keypress(Tagged, tag="keypress"):
    keys: list[str]


class _Move(Tagged, tag="move"):
    x: Count
    y: Count
    keys: list[str] | None = None


class _Screenshot(Tagged, tag="screenshot"):
    pass


class _Scroll(Tagged, tag="scroll"):
    scroll_x: Count
    scroll_y: Count
    x: Count
    y: Count
    keys: list[str] | None = None


class _Type(Tagged, tag="type"):
    text: str


class _Wait(Tagged, tag="wait"):
    pass


_Action = _Click | _DoubleClick | _Drag | _Keypress | _Move | _Screenshot | _Scroll | _Type | _Wait


class ComputerCall(Strict):
    call_id: str
    pending_safety_checks: list[SafetyCheck]
    action: _Action | None = None
    actions: list[_Action] | None = None
    status: Status | None = None


class _Picture(Tagged, tag="computer_screenshot"):
    file_id: str | None = None
    image_url: str | None = None


class ComputerCallOutput(Strict):
    call_id: str
    output: _Picture
    acknowledged_safety_checks: list[SafetyCheck] | None = None
    created_by: str | None = None
    status: Literal["completed", "incomplete", "failed", "in_progress"] | None = None


class _Logs(Tagged, tag="logs"):
    logs: str


class _OutputImage(Tagged, tag="image"):
    url: str


class CodeInterpreterCall(Strict):
    container_id: str
    code: str | None = None
    outputs: list[_Logs | _OutputImage] | None = None
    status: Literal["in_progress", "completed", "incomplete", "interpreting", "failed"] | None = None


class Program(Strict):
    call_id: str
    code: str
    fingerprint: str


class ProgramOutput(Strict):
    call_id: str
    result: str
    status: Literal["completed", "incomplete"] | None = None


class _Exec(Tagged, tag="exec"):
    command: list[str]
    env: dict[str, str]
    timeout_ms: Count | None = None
    user: str | None = None
    working_directory: str | None = None


class LocalShellCall(Strict):
    call_id: str
    action: _Exec
    status: Status | None = None


class LocalShellCallOutput(Strict):
    output: str
    status: Status | None = None


class _Commands(Strict):
    commands: list[str]
    max_output_length: Count | None = None
    timeout_ms: Count | None = None


class _Local(Tagged, tag="local"):
    pass


class _ContainerReference(Tagged, tag="container_reference"):
    container_id: str


class ShellCall(Strict):
    call_id: str
    action: _Commands
    environment: _Local | _ContainerReference | None = None
    caller: Caller = None
    created_by: str | None = None
    status: Status | None = None


class _TimedOut(Tagged, tag="timeout"):
    pass


class _Exited(Tagged, tag="exit"):
    exit_code: Count


class _ShellOutput(Strict):
    outcome: _TimedOut | _Exited
    stdout: str
    stderr: str
    created_by: str | None = None


class ShellCallOutput(Strict):
    call_id: str
    output: list[_ShellOutput]
    max_output_length: Count | None = None
    caller: Caller = None
    created_by: str | None = None
    status: Status | None = None


class _CreateFile(Tagged, tag="create_file"):
    path: str
    diff: str


class _DeleteFile(Tagged, tag="delete_file"):
    path: str


class _UpdateFile(Tagged, tag="update_file"):
    path: str
    diff: str


class ApplyPatchCall(Strict):
    call_id: str
    operation: _CreateFile | _DeleteFile | _UpdateFile
    caller: Caller = None
    created_by: str | None = None
    status: Literal["in_progress", "completed"] | None = None


class ApplyPatchCallOutput(Strict):
    call_id: str
    output: str | None = None
    caller: Caller = None
    created_by: str | None = None
    status: Literal["completed", "failed"] | None = None
